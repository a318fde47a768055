"""The containers and the list of wheels, as far as they can be held without a container."""

import hashlib
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "containers" / "compose.yaml"
KIT = ROOT / "src" / "flower_dgan" / "cli" / "kit" / "compose.yaml"

# https://github.com/compose-spec/compose-spec: what a service may have, of that which is used here
SERVICE = {
    *("image", "user", "read_only", "tmpfs", "cap_drop", "security_opt", "restart", "ports", "volumes", "secrets"),
    *("entrypoint", "command", "deploy", "environment"),
}
MOUNT = {"type", "source", "target", "read_only"}


def services(path: Path) -> dict[str, Any]:
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {key for key in read if not key.startswith("x-")} == {"services", "secrets"}
    found: dict[str, Any] = read["services"]
    for name, service in found.items():
        assert set(service) <= SERVICE, name
        assert all(isinstance(each, str) for key in ("command", "entrypoint") for each in service.get(key, ())), name
        for mount in service["volumes"]:
            assert set(mount) <= MOUNT
            assert mount["type"] == "bind"
        assert set(service["secrets"]) <= set(read["secrets"])
    assert all(set(secret) == {"file"} for secret in read["secrets"].values())
    return found


@pytest.mark.parametrize("path", [COMPOSE, KIT], ids=["compose", "kit"])
def test_each_service_is_hardened_and_has_no_secret_in_its_arguments(path: Path) -> None:
    for service in services(path).values():
        assert service["user"] == "1000:1000"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        writable = [mount["target"] for mount in service["volumes"] if not mount.get("read_only")]
        assert writable == ["/state"], "which is a volume of the image, and the home of its user"
        keys = [each for each in service["command"] if "key" in each and not each.startswith("--")]
        assert keys
        assert all(key.startswith("/run/secrets/") for key in keys)


def test_services_take_the_options_of_the_page() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8").replace("\\\n", " ")
    found = services(COMPOSE)
    for name, start in (("superlink", "flower-superlink "), ("supernode", "flower-dgan supernode ")):
        (line,) = re.findall(f"^{start}.*$", page, re.MULTILINE)
        typed = shlex.split(line)
        entry = found[name].get("entrypoint", ["flower-dgan"])
        run = [*entry, *found[name]["command"]]
        assert [each for each in run if each.startswith("--")] == [each for each in typed if each.startswith("--")]
        assert len(run) == len(typed)
    assert found["supernode-gpu"]["command"] == found["supernode"]["command"]


def test_the_image_has_a_user_of_its_own_and_copies_nothing_but_the_package() -> None:
    recipe = (ROOT / "containers" / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)$", recipe, re.MULTILINE) == ["1000:1000"]
    assert re.findall(r"^ENTRYPOINT (.*)$", recipe, re.MULTILINE) == ['["flower-dgan"]']
    kept = (ROOT / "containers" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert kept[1] == "*"
    assert all((ROOT / line[1:]).exists() for line in kept[2:])


def test_one_version_is_said_everywhere() -> None:
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE) == [version]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for file in ("containers/Dockerfile", "containers/compose.yaml", "docs/deployment.md"):
        assert set(re.findall(r"flower-dgan:([\w.]+)", (ROOT / file).read_text(encoding="utf-8"))) == {version}, file


def wheel(folder: Path, name: str, version: str, *more: str) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with ZipFile(path, "w") as file:
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *more, "", "Name: of the text"]
        file.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines))
        file.writestr(f"{name}/vendored/other-1.dist-info/METADATA", "Name: other\nVersion: 1\n")
    return path


def test_the_list_of_wheels_names_each_by_version_licence_and_hash(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "containers" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    sbom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    one = wheel(tmp_path, "some_package", "1.0", "License-Expression: MIT", "License: other")
    wheel(tmp_path, "Another", "2.0", "License: a text", "Classifier: License :: OSI Approved :: BSD License")
    wheel(tmp_path, "third", "3.0", "License: ")
    found = sbom.bill(tmp_path)
    assert [each["purl"] for each in found["components"]] == [
        *("pkg:pypi/another@2.0", "pkg:pypi/some-package@1.0", "pkg:pypi/third@3.0"),
    ]
    licences = [each["licenses"][0]["license"]["name"] for each in found["components"]]
    assert licences == ["BSD License", "MIT", "not stated"]
    digest = hashlib.sha256(one.read_bytes()).hexdigest()
    assert f"some_package==1.0 --hash=sha256:{digest}\n" in sbom.requirements(found)
    assert json.loads(json.dumps(found)) == found
    (tmp_path / "torn.whl").write_bytes(one.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"torn\.whl is no wheel"):
        sbom.bill(tmp_path)
