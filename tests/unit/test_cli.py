import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from flower_dgan import cli
from flower_dgan.cli import consoles
from flower_dgan.cli.consoles import console, errors
from flower_dgan.cli.main import app, main
from flower_dgan.config import ModelConfig
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.generator_file import load_generator, save_generator
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.tasks.patient_scores import read_scores

MODEL = ModelConfig("small", "small", 4, 4, 3, True, "none")
SHAPE = ImageShape(2, 1, 16, ("breast", "kidney"))


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "generator.safetensors"
    save_generator(path, build_generator(MODEL, SHAPE), MODEL, SHAPE)
    return path


@pytest.fixture
def label_maps(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    for number in range(3):
        mask = np.zeros((20, 24), np.uint8)
        mask[number : number + 9, 4:15] = 255
        Image.fromarray(mask).save(folder / f"map{number}.png")
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_config_prints_the_resolved_configuration() -> None:
    values = yaml.safe_load(run("config", "seed=3 data=folder data.root=/data"))
    assert values["seed"] == 3
    assert values["partition"]["name"] == "site"


def test_generator_file_round_trip(generator: Path) -> None:
    network, model, shape = load_generator(generator)
    assert (model, shape) == (MODEL, SHAPE)
    torch.manual_seed(0)
    expected = build_generator(MODEL, SHAPE).state_dict()
    torch.testing.assert_close(network.state_dict(), expected, rtol=0, atol=0)


def test_synthesize_draws_on_the_label_maps(generator: Path, label_maps: Path, tmp_path: Path) -> None:
    run("synthesize", generator, label_maps, tmp_path / "out", "--count", 5, "--site", "kidney")
    images = sorted((tmp_path / "out/images").iterdir())
    masks = sorted((tmp_path / "out/masks").iterdir())
    assert [path.name for path in images] == [path.name for path in masks]
    assert [path.stem for path in images] == [f"kidney_{number:05d}" for number in range(5)]
    assert all(Image.open(path).size == (16, 16) for path in images)
    assert set(np.unique(np.asarray(Image.open(masks[0])))) <= {0, 255}
    run("synthesize", generator, label_maps, tmp_path / "again", "--count", 5, "--site", "kidney")
    assert (tmp_path / "again/images/kidney_00003.png").read_bytes() == images[3].read_bytes()
    run("synthesize", generator, label_maps, tmp_path / "other", "--count", 5, "--site", "kidney", "--seed", 1)
    assert (tmp_path / "other/images/kidney_00003.png").read_bytes() != images[3].read_bytes()


def test_synthesize_names_what_is_wrong(generator: Path, label_maps: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    for arguments, kind, message in (
        ([generator, label_maps, tmp_path / "o", "--site", "kidny"], ConfigError, "Did you mean 'kidney'?"),
        ([tmp_path / "none", label_maps, tmp_path / "o"], DataError, "There is no generator"),
        ([generator, tmp_path / "none", tmp_path / "o"], DataError, "There is no folder"),
        ([label_maps / "map0.png", label_maps, tmp_path / "o"], DataError, "is not a generator that flower-dgan wrote"),
    ):
        result = runner.invoke(app, ["synthesize", *map(str, arguments)])
        assert isinstance(result.exception, kind)
        assert message in str(result.exception)


def test_evaluate_prints_the_table(generator: Path, label_maps: Path, tmp_path: Path) -> None:
    for name in ("train", "test"):
        run("synthesize", generator, label_maps, tmp_path / name, "--count", 8)
    few = "data.channels=1 data.image_size=16 downstream.steps=2 downstream.seeds=2"
    few += " downstream.metrics=[dice,hd95,aji]"
    output = run("evaluate", tmp_path / "test", tmp_path / "train", "--overrides", few)
    assert ", seed 1: dice 0." in output.replace("\n", "")
    assert "AJI" in output
    assert "Objects are connected components" in output
    assert "trained on" in output
    assert output.count("seed") >= 2
    assert "±" in output
    # nothing is divided, so that one pair will do on either side
    run("synthesize", generator, label_maps, tmp_path / "one", "--count", 1)
    output = run("evaluate", tmp_path / "one", tmp_path / "one", "--overrides", f"{few} downstream.seeds=1")
    assert ", seed 0: dice 0." in output.replace("\n", "")


def test_gain_is_that_of_a_members_own_test_split(generator: Path, label_maps: Path, tmp_path: Path) -> None:
    """Six own pairs of three patients, of whom one is held out with both."""
    run("synthesize", generator, label_maps, tmp_path / "synthetic", "--count", 6)
    for kind in ("images", "masks"):
        (tmp_path / "own" / kind).mkdir(parents=True)
        for number, path in enumerate(sorted((tmp_path / "synthetic" / kind).iterdir())):
            (tmp_path / "own" / kind / f"patient{number // 2}_{number}.png").write_bytes(path.read_bytes())
    few = "data.channels=1 data.image_size=16 downstream.steps=2 downstream.seeds=2"
    few += " 'data.name_pattern=\"(?P<group>[^_]+)_.*\"'"
    output = run("gain", tmp_path / "own", tmp_path / "synthetic", "--overrides", few, "--output", tmp_path / "gain")
    assert "| own | 4 | Real-k+DGAN | 1 | 2 |" in output
    scores = read_scores(tmp_path / "gain")
    assert len({score.patient for score in scores}) == 1
    assert [(s.row, s.seed, s.images, s.unit) for s in scores] == [
        (row, seed, 2, "patient") for seed in (0, 1) for row in ("Real-k", "Real-k+DGAN")
    ]
    assert "too few patients" in (tmp_path / "gain/gain.md").read_text()
    with pytest.raises(ConfigError, match="gain is not empty: name a new folder"):
        run("gain", tmp_path / "own", tmp_path / "synthetic", "--output", tmp_path / "gain")


def test_evaluate_takes_the_class_of_an_image_from_its_mask(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        for kind in ("images", "masks"):
            (tmp_path / folder / kind).mkdir(parents=True)
        for number in range(12):
            label = number % 3
            for kind, value in (("images", 100 * label), ("masks", label)):
                Image.fromarray(np.full((16, 16), value, np.uint8)).save(tmp_path / folder / kind / f"{number}.png")
    few = "downstream=classification data.condition=class data.channels=1 data.image_size=16 downstream.seeds=1"
    output = run("evaluate", tmp_path / "test", tmp_path / "train", "--overrides", f"{few} downstream.steps=150")
    assert "seed 0: accuracy 1.000, f1 1.000" in output
    mask = np.zeros((16, 16), np.uint8)
    mask[0] = 1
    Image.fromarray(mask).save(tmp_path / "test/masks/0.png")
    given = ["evaluate", str(tmp_path / "test"), str(tmp_path / "train"), "--overrides", few]
    with pytest.raises(DataError, match="A label map has several classes"):
        CliRunner().invoke(app, given, catch_exceptions=False)


def test_mistakes_are_one_line_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["flower-dgan", "config", "sed=1"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert "Did you mean 'seed'?" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("terminal", [False, True])
def test_no_cell_of_a_table_is_cut(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal of 40 columns folds a path of 120 characters; a pipe has it on one line."""
    monkeypatch.setattr(consoles, "console", Console(width=40, force_terminal=terminal, no_color=True))
    table, path = Table("trained on", "dice"), "/data/" + "x" * 110 + "/end"
    table.add_row(path, "0.123 ± 0.045")
    consoles.print_table(table)
    printed = [line for line in capsys.readouterr().out.splitlines() if "x" in line or "/end" in line]
    assert "".join(re.sub("\x1b.*?m", "", line).split("│")[1].strip() for line in printed) == path
    assert (len(printed) > 1) is terminal
    assert any("0.123" in line for line in printed)


TRAPS = ("[medical]", "/data/[/x]/images", "[bold]", ":key:", "[red", r"\[x]", "[link=http://x]y[/link]")


@pytest.mark.parametrize("text", TRAPS)
def test_an_error_is_printed_as_it_is(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ConfigError(f"pip install {text}")

    monkeypatch.setattr("flower_dgan.cli.main.app", fail)
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == f"Error: pip install {text}\n"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_no_text_is_taken_for_markup(text: str) -> None:
    with errors.capture() as captured:
        errors.print(text)
    assert captured.get() == f"{text}\n"
    table = Table(text, title=text)
    table.add_row(text)
    with console.capture() as captured:  # three cells, and no more is asked of how they are laid out
        console.print(table, width=10_000)
    printed = captured.get()
    assert not text.strip() or printed.count(text.strip()) >= 3


@pytest.mark.parametrize("text", [text for text in TRAPS if "\\" not in text])
def test_settings_are_printed_as_they_are(text: str) -> None:
    printed = run("config", f"data=folder 'data.root=\"{text}\"'")
    assert yaml.safe_load(printed)["data"]["root"] == text


def test_only_one_module_makes_consoles() -> None:
    """Another console would take names for markup."""
    folder = Path(cli.__file__).parent
    assert [file.name for file in folder.glob("*.py") if "Console(" in file.read_text()] == ["consoles.py"]
