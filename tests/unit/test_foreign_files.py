"""Files that somebody else made are read, and nothing that they say is executed, imported or believed unseen."""

import ast
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from typer.testing import CliRunner

import flower_dgan
from flower_dgan import generator_file, synthesis
from flower_dgan.cli.main import app
from flower_dgan.config import ImportPath, ModelConfig
from flower_dgan.errors import ConfigError, DataError, DganError
from flower_dgan.federation.previous_task import open_previous_task, read_label_maps_of_run
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.generator_file import load_generator, save_generator
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.resolve import resolve, to_yaml
from flower_dgan.synthesis import synthesize_folder

MODEL = ModelConfig("small", "small", 4, 4, 3, True, "none")
SHAPE = ImageShape(2, 1, 16, ("a", "b"))
SHIPPED = ("small", "unet", "resnet9", "mlp", "mlp-relu", "dcgan", "fusion-mixture", "fusion-gate")


def described(name: str) -> tuple[ModelConfig, ImageShape]:
    """Return settings that fit a shipped generator."""
    noise = 0 if name == "resnet9" else 3
    model = replace(MODEL, generator=name, noise_channels=noise, site_condition=name in ("small", "unet"))
    return model, replace(SHAPE, image_size=64)


def write(path: Path, model: ModelConfig, shape: ImageShape, **lies: Any) -> Path:
    """Write a generator and say something else of it."""
    said = {"model": asdict(model), "shape": asdict(shape)}
    for name, value in lies.items():
        said["model" if name in said["model"] else "shape"][name] = value
    tensors = {name: value.contiguous() for name, value in build_generator(model, shape).state_dict().items()}
    save_file(tensors, path, {name: json.dumps(values) for name, values in said.items()})
    return path


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the device of every generator that is built for a file."""
    devices: list[str] = []

    def build(model: ModelConfig, shape: ImageShape) -> torch.nn.Module:
        devices.append(torch.empty(0).device.type)
        return build_generator(model, shape)

    monkeypatch.setattr(generator_file, "build_generator", build)
    return devices


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_network_is_read_back(name: str, tmp_path: Path) -> None:
    model, shape = described(name)
    before = build_generator(model, shape)
    save_generator(tmp_path / "g.safetensors", before, model, shape)
    again, read_model, read_shape = load_generator(tmp_path / "g.safetensors")
    assert (read_model, read_shape) == (model, shape)
    assert all(value.device.type == "cpu" for value in again.state_dict().values())
    torch.testing.assert_close(again.state_dict(), before.state_dict(), rtol=0, atol=0)


def test_a_file_that_does_not_say_how_long_its_noise_is_keeps_that_of_its_training(tmp_path: Path) -> None:
    network = build_generator(MODEL, SHAPE)
    said = {key: value for key, value in asdict(MODEL).items() if key != "published_noise"}
    metadata = {"model": json.dumps(said), "shape": json.dumps(asdict(SHAPE))}
    save_file(network.state_dict(), tmp_path / "g.safetensors", metadata)
    assert load_generator(tmp_path / "g.safetensors")[1].published_noise == 1


def test_a_generator_that_names_a_command_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called with (classes, channels, ...), what is named makes a file; a real one could do anything."""
    (tmp_path / "foreign_code.py").write_text(
        "import pathlib\n"
        f"pathlib.Path({str(tmp_path)!r}, 'imported').touch()\n"
        f"def run(*_): pathlib.Path({str(tmp_path)!r}, 'run').touch()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    file = write(tmp_path / "g.safetensors", MODEL, SHAPE, generator="foreign_code:run")
    for packages in ([], ["own"], ["foreign"], ["run"], ["foreign_code.run"]):
        with pytest.raises(ConfigError, match=r"package foreign_code to be run \(foreign_code:run\).*nothing was run"):
            load_generator(file, packages)
    more = ["--package", "own", "--package", "other"]
    for options in ([], more):
        result = CliRunner().invoke(app, ["synthesize", str(file), str(tmp_path), str(tmp_path / "out"), *options])
        assert isinstance(result.exception, ConfigError)
    assert not (tmp_path / "imported").exists()
    assert "foreign_code" not in sys.modules
    with pytest.raises(DganError):  # it makes no network; the user said that it may be called
        load_generator(file, ["own", "foreign_code"])
    assert (tmp_path / "run").exists()


def test_a_command_of_the_standard_library_is_no_network(tmp_path: Path) -> None:
    file = write(tmp_path / "g.safetensors", MODEL, SHAPE, generator="subprocess:Popen")
    with pytest.raises(ConfigError, match=r"code of the package subprocess to be run"):
        load_generator(file)


def test_the_task_before_brings_no_code_but_what_this_run_names(tmp_path: Path, builds: list[str]) -> None:
    write(tmp_path / "generator.safetensors", MODEL, SHAPE, generator="code_of_others:run")
    config = resolve(f"downstream=none algorithm=tdgan-small algorithm.previous={tmp_path}")
    with pytest.raises(ConfigError, match="wants code of the package code_of_others to be run"):
        open_previous_task(config)
    assert builds == []
    named = replace(config, model=replace(config.model, generator=ImportPath("code_of_others:run")))
    with pytest.raises(ConfigError, match="there is no module code_of_others here"):  # allowed, and looked for
        open_previous_task(named)


@pytest.mark.parametrize(
    ("name", "lies"),
    [
        ("small", {"generator_width": 10**9}),
        ("small", {"noise_channels": 10**9}),
        ("small", {"classes": 10**9}),
        ("small", {"channels": 10**9}),
        ("small", {"sites": ["a"] * 10**5}),
        ("small", {"generator_width": 5}),
        ("unet", {"image_size": 2**30}),
        ("unet", {"image_size": 2**62}),
        ("mlp", {"image_size": 10**9}),
        ("mlp", {"image_size": 2**62}),
        ("dcgan", {"image_size": 2**40}),
        ("resnet9", {"generator_width": 10**12}),
        ("fusion-mixture", {"sites": ["a"] * 10**5}),
        ("fusion-gate", {"sites": ["a"] * 3}),
        ("small", {"generator": "unet"}),
    ],
)
def test_what_a_file_says_is_held_against_its_tensors(
    name: str, lies: dict[str, Any], tmp_path: Path, builds: list[str]
) -> None:
    file = write(tmp_path / "g.safetensors", *described(name), **lies)
    with pytest.raises(DataError, match=r"is not a generator that flower-dgan wrote: ."):
        load_generator(file)
    assert set(builds) <= {"meta"}


def test_of_a_wrong_shape_both_are_named(tmp_path: Path) -> None:
    file = write(tmp_path / "g.safetensors", *described("mlp"), image_size=32)
    with pytest.raises(
        DataError, match=r"its mlp network would have \S+ of shape \(1024, 4\), and it holds \(4096, 4\)"
    ):
        load_generator(file)


WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(max_value=0), st.floats(), st.text(), st.lists(st.integers(), max_size=2)
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["classes", "channels", "image_size"]), WRONG)
def test_sizes_are_whole_numbers_from_one(tmp_path_factory: pytest.TempPathFactory, name: str, value: object) -> None:
    file = write(tmp_path_factory.mktemp("lies") / "g.safetensors", MODEL, SHAPE, **{name: value})
    with pytest.raises(DataError, match="must be whole numbers of at least 1"):
        load_generator(file)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"model": "{}", "shape": "{}"},
        {"model": "[]", "shape": "[]"},
        {"model": "1", "shape": json.dumps(asdict(SHAPE))},
        {"model": "{", "shape": "{"},
        {"model": json.dumps({**asdict(MODEL), "more": 1}), "shape": json.dumps(asdict(SHAPE))},
        {"model": json.dumps({**asdict(MODEL), "generator_width": "4"}), "shape": json.dumps(asdict(SHAPE))},
        {"model": json.dumps({**asdict(MODEL), "generator": ["small"]}), "shape": json.dumps(asdict(SHAPE))},
        {"model": json.dumps({**asdict(MODEL), "generator": "smal"}), "shape": json.dumps(asdict(SHAPE))},
        {"model": json.dumps({**asdict(MODEL), "generator": "a b:c"}), "shape": json.dumps(asdict(SHAPE))},
        {"model": json.dumps(asdict(MODEL)), "shape": json.dumps({**asdict(SHAPE), "sites": "ab"})},
        {"model": json.dumps(asdict(MODEL)), "shape": json.dumps({**asdict(SHAPE), "sites": [1, 2]})},
        {"model": json.dumps(asdict(MODEL)), "shape": "[" * 100_000},
    ],
)
def test_metadata_of_another_kind(metadata: Mapping[str, str], tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "g.safetensors", dict(metadata))
    with pytest.raises(DataError, match="is not a generator that flower-dgan wrote"):
        load_generator(tmp_path / "g.safetensors")


def test_images_that_the_machine_has_no_memory_for_are_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A convolution does not tell how large its images are. 3 of 16 x 16: 6 bytes a pixel, 4,608 in all."""
    huge = load_generator(write(tmp_path / "huge.safetensors", MODEL, SHAPE, image_size=10**9))
    with pytest.raises(ConfigError, match=r"100 images of 1,000,000,000 x 1,000,000,000 pixels.* draw fewer"):
        synthesize_folder(huge, tmp_path / "not read", count=100, site=None, seed=0)
    model = replace(MODEL, site_condition=False)
    trained = load_generator(write(tmp_path / "g.safetensors", model, SHAPE))
    for memory, error, message in ((4607, ConfigError, "draw fewer"), (4608, DataError, "There is no folder")):
        monkeypatch.setattr(synthesis, "machine_memory", lambda memory=memory: memory)
        with pytest.raises(error, match=message):
            synthesize_folder(trained, tmp_path / "none", count=3, site=None, seed=0)


YAML = "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]\n"


@pytest.mark.parametrize("text", [YAML, "a: [", "a: &x [*x]\n", "\x00", "", "data: 3\n", "[seed]\n", "data: [a]\n"])
def test_a_configuration_of_a_run_directory_is_nothing_but_values(text: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    config = resolve(f"downstream=none output.directory='{directory}'")
    begun = RunDirectory.open(config, 1)
    (begun.path / "config.yaml").write_text(text.format(marker=tmp_path / "marker"))
    resumed = resolve(f"downstream=none resume='{directory}'")
    with pytest.raises(ConfigError, match=re.escape(str(directory))):
        RunDirectory.open(resumed, 1)
    assert not (tmp_path / "marker").exists()


def test_label_maps_of_a_run_are_no_pickles(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "marker",))

    np.savez(tmp_path / "label_maps.npz", clients=np.array([Evil()], dtype=object))
    with pytest.raises(DataError, match="does not hold the label maps of a run"):
        read_label_maps_of_run(tmp_path / "label_maps.npz")
    assert not (tmp_path / "marker").exists()


SAFE = {
    "yaml": {
        *("safe_load", "safe_dump", "YAMLError"),
        # load wants a loader: no class of yaml's own has a name here but that of the safe one, and of what it reads
        *("load", "SafeLoader", "MappingNode", "ScalarNode", "AliasEvent"),
    }
}
NEVER = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def test_no_reader_of_files_can_execute_them() -> None:
    """pickle is nowhere, arrays and weights are read without it, and YAML without its tags."""
    wrong: list[str] = []
    for file in sorted(Path(flower_dgan.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            where = f"{file.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                wrong += [f"{where} imports {name}" for name in names if name.partition(".")[0] in NEVER]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in SAFE:
                wrong += [] if node.attr in SAFE[node.value.id] else [f"{where} uses {ast.unparse(node)}"]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "torch.load"):
                given = {each.arg: ast.unparse(each.value) for each in node.keywords}
                array = ast.unparse(node.func) == "np.load"
                safe = given.get("allow_pickle", "False") == "False" if array else given.get("weights_only") == "True"
                wrong += [] if safe else [f"{where} unpickles: {ast.unparse(node)}"]
    assert wrong == []
    assert to_yaml(resolve("downstream=none")).count("!!") == 0
