"""The report of a sweep, from run directories written by hand."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.errors import DataError
from flower_dgan.report import write_sweep_report
from flower_dgan.report.sweep_figures import main_figure, samples_figure
from flower_dgan.report.sweep_jobs import JobRecord, write_record
from flower_dgan.report.sweep_runs import mean_and_spread, read_sweep
from flower_dgan.tasks.patient_scores import PatientScore, append_scores

WORK = {"discriminator_loss": 1.0, "generator_loss": 1.0, "busy_seconds": 1.0, "compute_seconds": 1.0}
REPLY = {**WORK, "bytes_sent": 1, "bytes_received": 1, "rounds_late": 0, "weight": 0.5}


def tstr(row: str, *dice: float) -> list[dict[str, Any]]:
    return [{"kind": "tstr", "row": row, "seed": n, "dice": each, "iou": each / 2} for n, each in enumerate(dice)]


def write_run(sweep: Path, number: int, overrides: str, lines: list[dict[str, Any]], error: str | None = None) -> Path:
    given = overrides.split()
    path = sweep / ",".join(given)
    (path / ".hydra").mkdir(parents=True)
    (path / ".hydra/overrides.yaml").write_text("".join(f"- {each}\n" for each in given))
    spent = {"seconds": {"generator": 1.5, "flower": 0.5}, "images": 8, "clients": {"a": REPLY}}
    nothing: dict[str, Any] = {"rejected": {}, "staleness": 0, "late": [], "repeats": {}}
    array = {"kind": "record", "record": "r", "key": "k", "dtype": "float32", "shape": "1", "messages": 2}
    measured: list[dict[str, Any]] = [
        {"kind": "join", "site": "a", "node_id": "1", "images": 5, "channels": "all"},
        {"kind": "join", "site": "b", "node_id": "2", "images": 5, "channels": "all"},
        {"kind": "round", "round": 1, **spent, **nothing},
        {"kind": "round", "round": 2, **spent, **nothing},
        {"site": "a", "direction": "from node", "bytes": 1_000_000, **array},
        {"site": "b", "direction": "from node", "bytes": 3_000_000, **array},
        {"site": "a", "direction": "to node", "bytes": 500_000, **array},
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*measured, *lines]))
    (path / "samples").mkdir()
    for name, grey in (("round-1", 0), ("round-2", 40 * (number + 1) % 256)):
        Image.fromarray(np.full((16, 8), grey, np.uint8)).save(path / f"samples/{name}.png")
    write_record(path, JobRecord(number, tuple(given), 9.0, None, error))
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two algorithms, two alphas of two decades, two seeds; one run failed, one has not ended."""
    dice = {("dgan", "10"): (0.5, 0.7), ("dgan", "0.1"): (0.4, 0.6), ("uagan", "10"): (0.8, 0.9)}
    number = 0
    for (algorithm, alpha), values in dice.items():
        for seed, value in enumerate(values):
            lines = tstr("Real-All", 0.9, 1.0) + tstr("DGAN", value - 0.1, value + 0.1)
            overrides = f"algorithm={algorithm} partition.alpha={alpha} exchange.rounds=2 seed={seed}"
            write_run(tmp_path, number, overrides, lines)
            number += 1
    write_run(tmp_path, number, "algorithm=uagan partition.alpha=0.1 exchange.rounds=2 seed=0", [], "No | data.")
    left = write_run(tmp_path, 99, "algorithm=uagan partition.alpha=0.1 exchange.rounds=2 seed=1", [])
    (left / "job.json").unlink()
    return tmp_path


def test_table_has_every_training(sweep: Path) -> None:
    write_sweep_report(sweep)
    with (sweep / "sweep.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6 * 4
    assert lines[2] == {
        "algorithm": "dgan",
        "partition.alpha": "10",
        "seed": "0",
        "row": "DGAN",
        "training_seed": "0",
        "dice": "0.4",
        "iou": "0.2",
        "generator_seconds": "4.000",
        "bytes_up": "2000000",
        "bytes_down": "250000",
        "run_directory": str(sweep / "algorithm=dgan,partition.alpha=10,exchange.rounds=2,seed=0"),
    }
    assert (lines[0]["row"], lines[0]["generator_seconds"], lines[0]["bytes_up"]) == ("Real-All", "", "")


def test_means_are_over_seeds(sweep: Path) -> None:
    text = write_sweep_report(sweep).read_text()
    assert "6 of 8 runs finished. Swept: `algorithm`, `partition.alpha`. Seeds: 0, 1." in text
    # 0.5 and 0.7: mean 0.6, sample standard deviation 0.2 / sqrt(2)
    assert "| algorithm | partition.alpha=0.1 | partition.alpha=10 |" in text
    assert "| dgan | 0.500 ± 0.141 | 0.600 ± 0.141 |" in text
    assert "| uagan | - | 0.850 ± 0.071 |" in text
    assert "| dgan | 0.1 | 2 | 0.950 ± 0.000 | 0.500 ± 0.141 | 4.0 | 2.25 |" in text
    assert "| algorithm=uagan,partition.alpha=0.1,exchange.rounds=2,seed=0 | No \\| data. |" in text
    assert "| algorithm=uagan,partition.alpha=0.1,exchange.rounds=2,seed=1 | has not ended |" in text


def test_one_run_has_the_spread_of_its_trainings() -> None:
    assert mean_and_spread([[0.5, 0.7], [0.9, 0.9]]) == (pytest.approx(0.75), pytest.approx(0.3 / 2**0.5))
    assert mean_and_spread([[0.5, 0.7]]) == (pytest.approx(0.6), pytest.approx(0.2 / 2**0.5))
    assert mean_and_spread([[0.5], []]) == (0.5, None)
    assert mean_and_spread([]) is None


def test_lines_are_along_the_number_and_the_axis_is_logarithmic(sweep: Path) -> None:
    figure = main_figure(read_sweep(sweep))
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("partition.alpha", "Dice of DGAN")
    lines = {str(line.get_label()): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["dgan"], [[0.1, 0.5], [10, 0.6]])
    np.testing.assert_allclose(lines["uagan"], [[10, 0.85]])
    assert lines["Real-All, mean of all"][0][1] == pytest.approx(0.95)
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.5 - 0.2 / 2**0.5)


def test_without_a_number_values_are_side_by_side(tmp_path: Path) -> None:
    for number, (groups, value) in enumerate((("[[0],[1]]", 0.5), ("[[0,1]]", 0.7))):
        write_run(tmp_path, number, f"partition.label_groups={groups} seed=0", tstr("DGAN", value))
    figure = main_figure(read_sweep(tmp_path))
    assert figure is not None
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 0.5], [1, 0.7]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["[[0], [1]]", "[[0,1]]"]


def test_samples_are_the_last_of_the_first_seed(sweep: Path) -> None:
    figure = samples_figure(read_sweep(sweep))
    assert figure is not None
    shown = {axes.get_title(): axes.images[0].get_array()[0, 0] for axes in figure.axes}
    # runs 2, 0 and 4 of the fixture: 40 x (number + 1)
    expected = {
        "algorithm=dgan\nalpha=0.1": 120,
        "algorithm=dgan\nalpha=10": 40,
        "algorithm=uagan\nalpha=10": 200,
    }
    assert shown == {title: pytest.approx(grey / 255) for title, grey in expected.items()}
    figure.canvas.draw()
    assert figure.axes[0].images[0].cmap(0.0) == to_rgba("black")


def test_runs_without_segmentation_are_in_the_table(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, seed, f"seed={seed}", [])
    text = write_sweep_report(tmp_path).read_text()
    assert "| 2 | 4.0 | 2.25 |" in text
    assert not (tmp_path / "sweep.png").exists()
    assert (tmp_path / "sweep.csv").read_text().splitlines()[1].startswith("0,DGAN,,4.000,2000000,250000,")


def test_members_gains_are_over_the_seeds_of_each_choice(tmp_path: Path) -> None:
    for number, (algorithm, seed, after) in enumerate((("dgan", 0, 0.6), ("dgan", 1, 0.8), ("uagan", 0, 0.5))):
        run = write_run(tmp_path, number, f"algorithm={algorithm} seed={seed}", [])
        both = (("Real-k", 0.4), ("Real-k+DGAN", after))
        scores = [PatientScore("all", row, "a", 5, seed, "patient", "p", 2, {"dice": dice}) for row, dice in both]
        append_scores(run, scores, ("dice",))
    text = write_sweep_report(tmp_path).read_text()
    dgan, uagan = text.split("## What each member gains with algorithm=")[1:]
    # 0.2 and 0.4: sample standard deviation 0.2 / sqrt(2)
    assert "| a | 5 | Real-k+DGAN | 1 | 2 | 0.400 | 0.700 | +0.300 ± 0.141 |" in dgan
    assert "| a | 5 | Real-k+DGAN | 1 | 1 | 0.400 | 0.500 | +0.100 |" in uagan


def test_the_command_knows_runs_from_sweeps(sweep: Path) -> None:
    run = next(sweep.glob("*seed=1"))
    (run / "config.yaml").write_text("seed: 1\n")
    for directory, report in ((sweep, "sweep.md"), (run, "report.md")):
        result = CliRunner().invoke(app, ["report", str(directory)], catch_exceptions=False)
        assert result.output.strip() == str(directory / report)
        assert (directory / report).is_file()


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run in"):
        write_sweep_report(tmp_path)


def test_a_record_that_is_torn_counts_as_of_a_job_that_has_not_ended(
    sweep: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = min(sweep.glob("*/job.json"))
    before = len(read_sweep(sweep).finished)
    for damage in (b"", bytes(20), b"{}", b"[1]"):
        file.write_bytes(damage)
        assert len(read_sweep(sweep).finished) == before - 1
        assert f"{file} is damaged" in caplog.text
    settings = file.parent / ".hydra/overrides.yaml"
    settings.write_bytes(bytes(20))
    with pytest.raises(DataError, match=r"overrides\.yaml cannot be read: .* Delete ") as caught:
        read_sweep(sweep)
    assert "\n" not in str(caught.value)
