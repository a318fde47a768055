"""Import paths in place of shipped names, and who may name them."""

import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import Config, ImportPath
from flower_dgan.data import open_source
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.generator_file import load_generator, save_generator
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.node.own_policy import release_policy
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.simulation import simulating
from flower_dgan.resolve import resolve, to_yaml

EXAMPLE = Path(__file__).parents[2] / "simulations/own-networks"
OVERRIDES: str = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]["overrides"]
SHAPE = ImageShape(2, 1, 32, ("large", "small"))
DEPLOYED = {"data-path": "/data", "name": "clinic"}
SETTINGS = ("data.source", "model.generator", "model.discriminator", "algorithm.name")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the example, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("own_networks", "own_algorithm"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def use(config: Config, setting: str) -> Any:
    """Make an object of what a setting names."""
    match setting:
        case "data.source":
            return open_source(config.data)
        case "model.generator":
            return build_generator(config.model, SHAPE)
        case "model.discriminator":
            return build_discriminator(config.model, SHAPE)
        case _:
            return algorithm_of(config)


def with_path(setting: str, path: str) -> Config:
    chosen = "algorithm=base" if setting == "algorithm.name" else ""
    return resolve(f"downstream=none {chosen} {setting}={path}")


def with_path_unread(setting: str, path: str) -> Config:
    """Return settings with an import path of which nothing was imported."""
    config, (group, name) = resolve("downstream=none"), setting.split(".")
    return replace(config, **{group: replace(getattr(config, group), **{name: ImportPath(path)})})


def test_the_example_is_as_short_as_it_is_said_to_be() -> None:
    for file in ("own_networks.py", "own_algorithm.py"):
        assert len((EXAMPLE / file).read_text().splitlines()) < 60


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_kind_is_made_by_its_import_path(setting: str, installed: None) -> None:
    made = use(resolve(OVERRIDES), setting)
    names = dict(zip(SETTINGS, ("Rectangles", "Painter", "Critic", "Median"), strict=True))
    assert type(made).__module__ == ("own_algorithm" if setting == "algorithm.name" else "own_networks")
    assert type(made).__name__ == names[setting]


def test_an_algorithm_of_ones_own_has_settings_of_its_own(installed: None) -> None:
    settings = resolve(OVERRIDES).algorithm
    assert (type(settings).__name__, settings.strength) == ("MedianSettings", 1.0)
    with pytest.raises(ConfigError, match="strengh"):
        resolve(OVERRIDES.replace("strength", "strengh"))


def test_resolving_imports_the_algorithm_alone(installed: None) -> None:
    resolve.cache_clear()
    resolve(OVERRIDES)
    assert "own_networks" not in sys.modules


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_package.nets:Net", r"there is no module no_such_package here.*pip install -e"),
        ("own_networks.nets:Net", r"there is no module own_networks.nets here"),
        ("own_networks:Paiter", r"Unknown attribute of own_networks in .* 'Paiter'\. Did you mean 'Painter'\?"),
        ("own_networks:__doc__", r"is of type str: a class or a function is wanted"),
    ],
)
def test_what_cannot_be_loaded_is_named(setting: str, path: str, message: str, installed: None) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        use(with_path(setting, path), setting)
    assert setting in str(error.value)


def test_a_module_that_lacks_another_is_not_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lacking_module.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="lacking_module cannot be imported: No module named 'no_such_package'"):
        use(with_path("model.generator", "lacking_module:Net"), "model.generator")


@pytest.mark.parametrize(
    ("setting", "path", "message"),
    [
        ("model.generator", "own_networks:Critic", r"\(classes, channels, width, image_size, noise_channels, sites\)"),
        ("model.discriminator", "own_networks:Painter", r"with \(classes, channels, width, image_size\): .*missing 2"),
        ("model.generator", "builtins:print", "makes a NoneType: a torch.nn.Module is wanted"),
        ("data.source", "own_networks:Critic", r"with \(config\): .*missing 3"),
    ],
)
def test_what_cannot_be_called_is_named(setting: str, path: str, message: str, installed: None) -> None:
    with pytest.raises(ConfigError, match=message):
        use(with_path(setting, path), setting)


@pytest.mark.parametrize("setting", SETTINGS)
def test_names_without_a_colon_are_those_of_the_package(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"Unknown {setting} 'smal'"):
        resolve(f"downstream=none {setting}=smal")


@pytest.mark.parametrize("path", ["own_networks:", ":Net", "own networks:Net", "a.b:c.d", "..a:b", "a/b:c", "a:b:c"])
def test_an_import_path_has_one_form(path: str) -> None:
    with pytest.raises(ConfigError, match=r"is no import path: write package\.module:attribute"):
        resolve(f"downstream=none 'model.generator=\"{path}\"'")


def test_a_class_that_is_no_algorithm_is_refused(installed: None) -> None:
    with pytest.raises(ConfigError, match=r"own_networks:Critic is no class derived from .*Algorithm"):
        resolve("downstream=none algorithm=base algorithm.name=own_networks:Critic")


def test_import_paths_are_written_down() -> None:
    assert "generator: own_networks:Painter" in to_yaml(resolve(OVERRIDES))


def test_a_saved_generator_is_built_again(tmp_path: Path, installed: None) -> None:
    config = resolve(OVERRIDES)
    network = build_generator(config.model, SHAPE)
    save_generator(tmp_path / "generator.safetensors", network, config.model, SHAPE)
    again, model, shape = load_generator(tmp_path / "generator.safetensors", ["own_networks"])
    assert (type(again).__name__, model, shape) == ("Painter", config.model, SHAPE)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_a_saved_generator_whose_code_is_missing(tmp_path: Path) -> None:
    config = resolve(OVERRIDES)
    model = replace(config.model, generator=ImportPath("no_such_package:Net"))
    save_generator(tmp_path / "generator.safetensors", nn.Linear(1, 1), model, SHAPE)
    with pytest.raises(ConfigError, match="there is no module no_such_package here"):
        load_generator(tmp_path / "generator.safetensors", ["no_such_package"])


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_deployed_node_lets_no_training_name_code_that_its_owner_did_not(setting: str, tmp_path: Path) -> None:
    config = with_path_unread(setting, "my_package.nets:Thing")
    reason = rf"name code of my_package \(plugins\), as {setting}=my_package.nets:Thing does"
    shown = replace(release_policy(config, DEPLOYED | {"policy": "research"}), pixel_losses=False)
    with pytest.raises(FederationError, match=reason):
        shown.check_settings(config)
    for others in (("my_packages",), ("my_package.nets",), ("nets", "Thing")):
        with pytest.raises(FederationError, match=reason):
            replace(shown, plugins=others).check_settings(config)
    replace(shown, plugins=("other", "my_package")).check_code(setting, "my_package.nets:Thing")
    with simulating():
        release_policy(config, {"partition-id": 0}).check_code(setting, "my_package.nets:Thing")


def test_a_policy_file_lists_packages(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    lines = "label_maps: true\nlabel_maps_to_clients: true\nweights: false\npixel_losses: false\nqueries_per_image: 1\n"
    config, own = resolve(OVERRIDES), DEPLOYED | {"policy": str(path)}
    path.write_text(lines)
    assert release_policy(config, own) == ReleasePolicy(True, True, False, False, 1, ())
    path.write_text(f"{lines}plugins: [own_networks, own_algorithm]\n")
    assert release_policy(config, own).plugins == ("own_networks", "own_algorithm")
    release_policy(config, own).check_settings(config)
    for nothing, says in (
        ("plugins: own_networks\n", r"plugins=.* is no list"),
        ("plugins:\n", r"line 6 has a name and no value"),
    ):
        path.write_text(f"{lines}{nothing}")
        with pytest.raises(ConfigError, match=says):
            release_policy(config, own)
