"""What an owner is told before a first training, and what an operator hands out for that."""

import hashlib
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.flower.node_config import read_node_config
from flower_dgan.flower.reach import fingerprint, reach, read_certificates
from flower_dgan.node.own_policy import read_policy
from flower_dgan.node.owner_words import as_entries

NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)
RUN = "data.channels=1 data.image_size=16 data.name_pattern={site}_{patient}_{*}"


class Answer(BaseHTTPRequestHandler):
    """As a SuperLink answers who asks for nothing: with an error, and the time."""

    def do_GET(self) -> None:
        assert self.path == "/v1/fleet/"
        self.send_response_only(404)
        self.send_header("date", format_datetime(NOW, usegmt=True))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def superlink(context: ssl.SSLContext | None = None) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of 127.0.0.1, and of somebody else, each its own authority; and a SuperNode's keys."""
    folder = tmp_path_factory.mktemp("tls")
    for name, host in (("ca", "IP:127.0.0.1"), ("other", "DNS:other.example.org")):
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]
        names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"]
        files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
        subprocess.run(["openssl", "req", "-x509", *curve, *names, *files], check=True, capture_output=True)
    for kind, bits in (("ecdsa", "384"), ("ed25519", "256")):
        key = ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", str(folder / kind)]
        subprocess.run(key, check=True, capture_output=True)
    return folder


def serving(tls: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / f"{name}.pem", tls / f"{name}.key")
    return context


def test_a_superlink_that_answers_tells_its_certificate_and_its_clock(tls: Path) -> None:
    with superlink(serving(tls, "ca")) as address:
        said = reach(address, read_certificates(tls / "ca.pem"), lambda: NOW.timestamp() + 7)
    assert said[0].startswith(f"{address} answers with TLS")
    assert said[1].startswith("its certificate ends in 3")
    assert said[2] == "the clocks are 7 s apart, which may be 300"


def test_a_clock_beyond_what_flower_accepts_is_told(tls: Path) -> None:
    with superlink() as address:
        assert reach(address, None, lambda: NOW.timestamp() - 300)[0].startswith(f"{address} answers WITHOUT TLS")
        with pytest.raises(FederationError, match="301 s behind the SuperLink's"):
            reach(address, None, lambda: NOW.timestamp() - 301)


def test_another_authority_or_name_is_not_trusted(tls: Path) -> None:
    with superlink(serving(tls, "ca")) as address, pytest.raises(FederationError, match="not to be trusted"):
        reach(address, read_certificates(tls / "other.pem"))
    with superlink(serving(tls, "other")) as address, pytest.raises(FederationError, match="mismatch"):
        reach(address, read_certificates(tls / "other.pem"))


def test_nobody_there_and_no_address_say_so() -> None:
    with superlink() as address:
        pass
    with pytest.raises(FederationError, match="Connection refused"):
        reach(address, None)
    for wrong in ("example.org", "example.org:", ":8000", "example.org:99999"):
        with pytest.raises(ConfigError, match="is no address"):
            reach(wrong, None)


def test_a_key_is_named_as_ssh_names_it(tls: Path) -> None:
    listed = subprocess.run(["ssh-keygen", "-lf", tls / "ecdsa"], capture_output=True, text=True, check=True).stdout
    assert fingerprint(tls / "ecdsa") == listed.split()[1]
    with pytest.raises(ConfigError, match="no NIST curve"):
        fingerprint(tls / "ed25519")
    with pytest.raises(ConfigError, match="none in OpenSSH"):
        fingerprint(tls / "ca.key")
    (tls / "ecdsa").chmod(0o640)
    with pytest.raises(ConfigError, match="open to other users"):
        fingerprint(tls / "ecdsa")
    (tls / "ecdsa").chmod(0o600)


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    drawn = np.random.default_rng(0)
    for index in range(30):
        for kind, values in (("images", drawn.integers(0, 256, (16, 16))), ("masks", np.eye(16) * 255)):
            (tmp_path / "pairs" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "pairs" / kind / f"bern_p{index // 3}_{index}.png")
    return tmp_path / "pairs"


def look(pairs: Path, *more: str, owner: str = "", run: str = RUN) -> tuple[int, list[str]]:
    config = f'data-path="{pairs}" name="clinic" name-pattern="{{site}}_{{patient}}_{{*}}" {owner}'
    result = CliRunner().invoke(app, ["preflight", run, "--node-config", config, *more])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output.splitlines()


def test_a_node_that_is_ready_is_told_what_would_leave_it(pairs: Path, tls: Path) -> None:
    code, lines = look(pairs, "--auth-supernode-private-key", str(tls / "ecdsa"))
    assert [line.split(": ")[0] for line in lines[:8]] == [
        f"ok     {what}" for what in ("data", "policy", "secret", "disk", "memory", "device", "dry run", "key")
    ]
    assert "24 training and 6 test pairs of bern; classes 0, 1" in lines[0]
    assert "once you have approved it" in lines[1]
    assert any("the label maps of all images" in line for line in lines)
    assert lines[-1] == "Wrong: 0"
    assert code == 0
    assert not (pairs.parent / "state").exists(), "looking leaves nothing behind"


def test_a_training_that_asks_for_one_sum_with_noise_is_tried_by_one(pairs: Path) -> None:
    moments = "privacy=moments data.condition=none downstream=none algorithm.frequencies=9 exchange.batch_size=4"
    code, lines = look(pairs, owner='policy="strict"', run=f"{RUN} {moments}")
    (tried,) = (line for line in lines if "dry run" in line)
    assert tried.startswith("ok     dry run: a sum with noise of 8 images took")
    assert lines[-1] == "Wrong: 0"
    assert code == 0
    assert not (pairs.parent / "state").exists(), "nothing is charged for"


def test_who_adds_up_with_others_is_told_of_their_keys_and_of_its_own(pairs: Path) -> None:
    """As `privacy=moments-together` wants it: without a key, without peers, with itself as a peer, and as it should."""
    together = "privacy=moments-together data.condition=none downstream=none algorithm.frequencies=9"
    file, identity = pairs.parent / "policy.yaml", pairs.parent / "own key"
    owner = f'policy="{file}" identity-file="{identity}"'

    def told(*peers: str) -> tuple[bool, str]:
        file.unlink(missing_ok=True)
        arguments = ["policy", "init", str(file), "--preset", "strict", *(f"--peer={each}" for each in peers)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        _, lines = look(pairs, owner=owner, run=f"{RUN} {together}")
        (line,) = (line for line in lines if line.split(": ")[0].endswith("peers"))
        return line.startswith("ok "), line

    sound, line = told("0" * 64)
    assert not sound
    assert f"`flower-dgan policy key --file '{identity}'` makes" in line
    assert not identity.exists(), "looking leaves nothing behind"
    own = CliRunner().invoke(app, ["policy", "key", "--file", str(identity)]).output.strip()
    sound, line = told("0" * 64, "1" * 64)
    assert sound
    assert f"the others must have named {own}" in line
    assert "names 2 peers, and wants sums of 3 sites or more, 1 of them honest" in line
    sound, line = told()
    assert not sound
    assert "names no peers" in line
    sound, line = told("0" * 64, own)
    assert not sound
    assert "this node's own key: leave it out" in line


def test_a_training_without_such_sums_is_not_asked_for_peers(pairs: Path) -> None:
    _, lines = look(pairs)
    assert not any("peers:" in line for line in lines)


def test_each_thing_that_is_wrong_is_told_and_the_others_are_looked_at_all_the_same(pairs: Path) -> None:
    (pairs / "masks" / "bern_p0_0.png").unlink()
    secret = pairs.parent / "secret"
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o644)
    owner = f'policy="strict" secret-file="{secret}" device="cuda:7"'
    code, lines = look(pairs, "--superlink", "127.0.0.1:1", "--insecure", owner=owner)
    wrong = {line.split(": ")[0].removeprefix("WRONG  ") for line in lines if line.startswith("WRONG")}
    assert wrong == {"data", "policy", "secret", "device", "SuperLink"}
    assert not any("dry run" in line for line in lines), "what the policy refuses is not executed"
    assert lines[-1] == "Wrong: 5"
    assert code == 1


def test_a_node_that_cannot_write_what_it_keeps_is_not_ready(pairs: Path) -> None:
    """The place of its state is in a file; then a record of it is no folder."""
    state = pairs.parent / "state"
    state.write_text("no folder")
    _, lines = look(pairs)
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert [line.split(": ")[0] for line in wrong] == ["WRONG  secret", "WRONG  disk"]
    assert "Not a directory" in wrong[0]
    assert "with the node's XDG_STATE_HOME" in wrong[0]
    state.unlink()
    (state / "flower-dgan").mkdir(parents=True)
    os.mkfifo(state / "flower-dgan" / "ledger")
    _, lines = look(pairs)
    (wrong_now,) = (line for line in lines if line.startswith("WRONG"))
    assert f"disk: This user cannot write {state / 'flower-dgan' / 'ledger'}: Not a directory" in wrong_now
    assert [each.name for each in (state / "flower-dgan").iterdir()] == ["ledger"], "looking leaves nothing behind"


def test_an_owner_is_told_of_entries_and_of_no_settings_of_a_server(pairs: Path) -> None:
    for kind in ("images", "masks"):
        (pairs / kind / "bern_p0_0.png").rename(pairs / kind / "odd.png")
    code, lines = look(pairs)
    assert lines[0].startswith("WRONG  data: The file name 'odd' does not match name-pattern='{site}_{patient}_{*}'")
    assert 'or table to a CSV file, or name-pattern="none" for one site.' in lines[0]
    assert lines[0].endswith(" Change it in the node configuration.")
    assert not any("data.name_pattern" in line for line in lines)
    config = f'data-path="{pairs}" name="clinic" name-pattern="{{site}}_{{patient}}_{{*}}"'
    result = CliRunner().invoke(app, ["data", "check", RUN, "--node-config", config])
    assert "does not match name-pattern=" in f"{result.exception} {result.output}"
    assert code == 1


def test_only_what_an_owner_decides_is_called_an_entry() -> None:
    for other in ("data.classes=3", "/odd/data.table", "my-data.root", "data.sites.csv", "data.name_patterns"):
        assert as_entries(f"Look at {other}.") == f"Look at {other}."
    assert as_entries("Set data.root.") == "Set data-path. Change it in the node configuration."


def invited(folder: Path, tls: Path, *more: str, owner: str = "clinic-a", address: str = "example.org:8000") -> str:
    arguments = ["invite", owner, str(folder), "--superlink", address, "--certificate", str(tls / "ca.pem"), *more]
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, ConfigError):
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_kit_has_what_an_owner_needs_and_no_secret(tmp_path: Path, tls: Path) -> None:
    output = invited(tmp_path / "kit", tls, "--data-path", '/data/"odd" $pairs', owner="St. Mary (3)")
    named = {each.name for each in (tmp_path / "kit").iterdir()}
    sums = dict(reversed(line.split("  ")) for line in (tmp_path / "kit" / "SHA256SUMS").read_text().splitlines())
    assert named - {"SHA256SUMS", "state"} == set(sums)
    assert set(sums) == {
        *("README.md", "ca.pem", "node.toml", "policy.yaml", "flower-supernode.service", "compose.yaml")
    }
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / "kit" / name).read_bytes()).hexdigest() == digest
        assert "PRIVATE" not in (tmp_path / "kit" / name).read_text()
    node = read_node_config(str(tmp_path / "kit" / "node.toml"))
    policy = "/etc/flower-dgan/policy.yaml"
    assert node == {"data-path": '/data/"odd" $pairs', "name": "St. Mary (3)", "policy": policy}
    assert read_policy(tmp_path / "kit" / "policy.yaml").approval
    told = subprocess.run(
        ["openssl", "x509", "-in", tls / "ca.pem", "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True
    ).stdout.strip()
    assert told.partition("=")[2] in output.replace("\n", "")
    service = (tmp_path / "kit" / "flower-supernode.service").read_text()
    compose = yaml.safe_load((tmp_path / "kit" / "compose.yaml").read_text())["services"]["supernode"]
    assert "--superlink example.org:8000" in service
    assert compose["command"][1:3] == ["--superlink", "example.org:8000"]
    assert compose["volumes"][2]["source"] == '/data/"odd" $$pairs', "compose would put a variable there"


def test_what_could_be_taken_for_something_else_is_no_kit(tmp_path: Path, tls: Path) -> None:
    kit = tmp_path / "kit"
    assert "no address" in invited(kit, tls, address="example.org:8000 --insecure")
    assert "absolute path" in invited(kit, tls, "--data-path", "pairs")
    assert "The node's name" in invited(kit, tls, owner="../clinic")
    both = tmp_path / "both.pem"
    both.write_bytes((tls / "ca.pem").read_bytes() + (tls / "ca.key").read_bytes())
    assert "private key" in invited(kit, tls, "--certificate", str(both))
    assert "does not hold one certificate" in invited(kit, tls, "--certificate", str(tls / "ca.key"))
    assert not kit.exists()
