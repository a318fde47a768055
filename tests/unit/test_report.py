"""Tests of the report: a small run directory written by hand, and the cells that must come out of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flower_dgan.errors import DataError
from flower_dgan.report import write_report
from flower_dgan.report.curves import loss_figure, plot_losses
from flower_dgan.report.markdown import render_report
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.report.table import table
from flower_dgan.run.crossing_records import RecordCount, Traffic
from flower_dgan.run.member_records import Join
from flower_dgan.run.outcome_records import Alarm, MemoryPeak, Stage
from flower_dgan.run.round_records import ClientRound, Round
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.tasks.results import TstrResult
from flower_dgan.tasks.segmentation.columns import OBJECTS

SPENT = {"busy_seconds": 1.5, "compute_seconds": 1.25, "rounds_late": 0, "weight": 0.5}
A_FIRST = {"discriminator_loss": 1.5, "generator_loss": 4.0, "bytes_sent": 1000, "bytes_received": 300, **SPENT}
A_LAST = {**A_FIRST, "discriminator_loss": 0.75, "generator_loss": 2.25, "bytes_sent": 2000, "bytes_received": 400}
A_LAST |= {"rounds_late": 1, "weight": 0.0}
B_FIRST = {"discriminator_loss": 1.0, "generator_loss": 3, "bytes_sent": 10, "bytes_received": 20, **SPENT}
GRADIENTS = {"record": "feedback", "key": "gradients", "dtype": "float16", "shape": "8x1x32x32", "messages": 2}
IMAGES = {"record": "batch", "key": "images", "dtype": "uint8", "shape": "8x1x32x32", "messages": 2}
DISTANCE = {"kind": "distance", "metric": "dist-fid-segmenter-64-n300", "wanted": 65}
WON = {"name": "D has won", "site": "a", "said": "loss 0.01"}

LINES: list[dict[str, Any]] = [
    {"kind": "join", "site": "a", "node_id": "11", "images": 1200, "channels": "all"},
    {"kind": "join", "site": "b", "node_id": "12", "images": 7, "channels": "0, 2"},
    {
        "kind": "round",
        "round": 1,
        "seconds": {"generator": 1.0, "discriminator": 2.0, "waiting": 0.5, "flower": 0.5},
        "images": 64,
        "clients": {"a": A_FIRST, "b": B_FIRST},
        "rejected": {},
        "staleness": 0,
        "late": ["b"],
        "repeats": {},
    },
    {
        "kind": "round",
        "round": 2,
        "seconds": {"generator": 2.0, "discriminator": 3.0, "waiting": 0.5, "flower": 0.5},
        "images": 32,
        "clients": {"a": A_LAST},
        "rejected": {"b": "gradients are not finite | 3 of 8"},
        "staleness": 4,
        "late": [],
        "repeats": {"b": 2},
    },
    {"kind": "alarm", "since": 3, "round": 5, "begins": True, "figure": 0.01, "help_by": "x | y", **WON},
    {"kind": "alarm", "since": 3, "round": 8, "begins": False, "figure": 0.5, **WON, "said": "loss 0.5"},
    {"kind": "alarm", "since": 9, "round": 11, "begins": True, "figure": 0, "help_by": "x", **WON},
    {"kind": "tstr", "row": "Real-All", "seed": 0, "dice": 0.75, "iou": 0.5},
    {"kind": "tstr", "row": "Real-All", "seed": 1, "dice": 0.85, "iou": 0.7},
    {"kind": "tstr", "row": "DGAN", "seed": 0, "dice": 0.6, "iou": 0.4},
    {"kind": "tstr", "row": "FedAvg", "seed": 0, "dice": 0.72, "iou": 0.5},
    {"kind": "traffic", "row": "FedAvg", "site": "a", "rounds": 10, "bytes_sent": 7000, "bytes_received": 7500},
    {"kind": "traffic", "row": "FedAvg", "site": "b", "rounds": 10, "bytes_sent": 7000, "bytes_received": 7700},
    {"kind": "record", "site": "a", "direction": "from node", "bytes": 32768, **GRADIENTS},
    {"kind": "record", "site": "a", "direction": "to node", "bytes": 16384, **IMAGES},
    {**DISTANCE, "site": "all", "windows": 300, "compared": "synthetic", "images": 300, "distance": 12.3456},
    {**DISTANCE, "site": "a", "windows": 64, "compared": "synthetic", "images": 300, "distance": 0.5},
    {"kind": "missing-moments", "site": "b", "reason": "This node's policy does not let moments leave (moments)."},
    {"kind": "stage", "name": "start-up", "seconds": 20.04},
    {"kind": "memory", "who": "server", "peak_mib": 1234.4, "later": "fields are passed over"},
]


def write_run(directory: Path, lines: list[str]) -> Path:
    (directory / "metrics.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    (directory / "config.yaml").write_text("algorithm: asyndgan\n", encoding="utf-8")
    return directory


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    (tmp_path / "samples").mkdir()
    for name in ("round-0002.png", "round-0001.png"):
        (tmp_path / "samples" / name).touch()
    return write_run(tmp_path, [json.dumps(line) for line in LINES])


def section(report: str, title: str) -> list[str]:
    """Return the lines below a heading, up to the next one."""
    return report.split(f"## {title}\n\n")[1].split("\n\n## ")[0].splitlines()


def test_metrics_are_read_as_they_were_written(run_directory: Path) -> None:
    metrics = read_metrics(run_directory)
    assert metrics.joins == (Join("a", "11", 1200, "all"), Join("b", "12", 7, "0, 2"))
    assert metrics.rounds[1] == Round(
        round=2,
        seconds={"generator": 2.0, "discriminator": 3.0, "waiting": 0.5, "flower": 0.5},
        images=32,
        clients={"a": ClientRound(0.75, 2.25, 1.5, 1.25, 2000, 400, 1, 0.0)},
        rejected={"b": "gradients are not finite | 3 of 8"},
        staleness=4,
        late=(),
        repeats={"b": 2},
    )
    assert metrics.tstr[2] == TstrResult("DGAN", 0, {"dice": 0.6, "iou": 0.4})
    assert metrics.traffic[1] == Traffic("FedAvg", "b", 10, 7000, 7700)
    assert metrics.records[0] == RecordCount(
        "a", "from node", "feedback", "gradients", "float16", "8x1x32x32", 2, 32768
    )
    assert metrics.stages == (Stage("start-up", 20.04),)
    assert metrics.alarms[:2] == (
        Alarm("D has won", "a", 3, 5, True, 0.01, "loss 0.01", "x | y"),
        Alarm("D has won", "a", 3, 8, False, 0.5, "loss 0.5"),
    )
    assert metrics.memory == (MemoryPeak("server", 1234.4),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"kind": "stage", "na', "line 2: "),
        ("[1]", "line 2: not a JSON object"),
        ('{"name": "training"}', "line 2: the field 'kind' is missing"),
        ('{"kind": "stage", "name": "training"}', "line 2: the field 'seconds' is missing"),
        ('{"kind": "stage", "name": "training", "seconds": true}', "line 2: the field 'seconds' is True"),
        ('{"kind": "stage", "name": 3, "seconds": 1}', "line 2: the field 'name' is 3, not a str"),
        (
            '{"kind": "round", "round": 1, "seconds": {}, "images": 1, "clients": {"a": {}}, "rejected": {}, '
            '"repeats": {}}',
            "line 2: the field 'discriminator_loss' is missing",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write_run(tmp_path, [json.dumps(LINES[0]), line])
    with pytest.raises(DataError, match=message):
        read_metrics(tmp_path)


def test_a_kind_of_a_later_version_is_passed_over(run_directory: Path) -> None:
    before = read_metrics(run_directory)
    with (run_directory / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tide", "time": 3.5, "high": [1, 2]}\n')
    assert read_metrics(run_directory) == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no .*metrics\.jsonl"):
        write_report(tmp_path)
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(DataError, match=r"no .*config\.yaml"):
        write_report(tmp_path)


def test_report_has_the_hand_computed_cells(run_directory: Path) -> None:
    path = write_report(run_directory)
    report = path.read_text(encoding="utf-8")
    assert path == run_directory / "report.md"
    assert "2 rounds, 96 synthetic images, 2 clients." in report
    # Deviations of 0.75, 0.85 and of 0.5, 0.7 with divisor 1: 0.0707 and 0.1414. Bytes: (32,768 + 16,384 + 0) / 2 and
    # (14,500 + 14,700) / 2.
    assert section(report, "Train on synthetic, test on real")[2:5] == [
        "| Real-All | 0.800 ± 0.071 | 0.600 ± 0.141 | 1.000 | 2 | - | - |",
        "| DGAN | 0.600 | 0.400 | 0.750 | 1 | 24,576 | 2 |",
        "| FedAvg | 0.720 | 0.500 | 0.900 | 1 | 14,600 | 10 |",
    ]
    assert section(report, "Dist-FID") == [
        "| real images of | windows | compared with | images | dist-fid-segmenter-64-n300 |",
        "| --- | --- | --- | --- | --- |",
        "| all | 300 | synthetic | 300 | 12.35 |",
        "| a | 64 | synthetic | 300 | 0.5 (few) |",
        "",
        "| without | reason |",
        "| --- | --- |",
        "| b | This node's policy does not let moments leave (moments). |",
        "",
        "Few: no more samples than features, with which a distance means little.",
    ]
    assert section(report, "Clients")[2:4] == [
        "| a | 1,200 | all | 2 | 1 | 1 | 0 | 3,000 | 700 | 1.500 → 0.750 | 4.000 → 2.250 |",
        "| b | 7 | 0, 2 | 1 | 0 | 0 | 2 | 10 | 20 | 1.000 → 1.000 | 3.000 → 3.000 |",
    ]
    assert section(report, "Where the time of the rounds went")[2:] == [
        "| generator | 3.0 | 30.0 % |",
        "| discriminator | 5.0 | 50.0 % |",
        "| waiting | 1.0 | 10.0 % |",
        "| flower | 1.0 | 10.0 % |",
        "| all | 10.0 | 100.0 % |",
    ]
    assert section(report, "Stages of the job")[2:] == ["| start-up | 20.0 |"]
    assert section(report, "Peak memory")[2:] == ["| server | 1,234 |"]
    assert section(report, "What left each node")[2:] == [
        "| a | feedback | gradients | float16 | 8x1x32x32 | 2 | 32,768 |"
    ]
    assert section(report, "What was sent to each node")[2:] == [
        "| a | batch | images | uint8 | 8x1x32x32 | 2 | 16,384 |"
    ]
    assert section(report, "Rejected replies")[2:] == ["| b | gradients are not finite \\| 3 of 8 | 1 | 2 | 2 |"]
    assert section(report, "Configuration") == ["````yaml", "algorithm: asyndgan", "````"]


def test_chosen_metrics_are_columns_and_objects_are_explained(tmp_path: Path) -> None:
    scores = {"hd95": 10.25, "aji": 0.5}
    lines = [
        {"kind": "tstr", "row": "Real-All", "seed": 0, "dice": 0.75, "iou": 0.5},
        {"kind": "tstr", "row": "DGAN", "seed": 0, **scores, "objects": "components"},
        {"kind": "tstr", "row": "DGAN", "seed": 1, "hd95": 12.25, "aji": 0.5, "objects": "components"},
    ]
    write_run(tmp_path, [json.dumps(line) for line in lines])
    assert read_metrics(tmp_path).tstr[1] == TstrResult("DGAN", 0, scores, OBJECTS["components"])
    shown = section(write_report(tmp_path).read_text(encoding="utf-8"), "Train on synthetic, test on real")
    assert shown[:6] == [
        "| trained on | Dice | IoU | HD95 (pixels) | AJI | Dice / Real-All | seeds | bytes a client | rounds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| Real-All | 0.750 | 0.500 | - | - | 1.000 | 1 | - | - |",
        "| DGAN | - | - | 11.250 ± 1.414 | 0.500 ± 0.000 | - | 2 | - | - |",
        "",
        "Objects are connected components, of the true masks as of the predicted ones.",
    ]


@pytest.mark.parametrize(("seeds", "said"), [((0,), True), ((0, 1), False)])
def test_a_table_of_one_training_a_row_says_that_differences_may_be_luck(
    tmp_path: Path, seeds: tuple[int, ...], said: bool
) -> None:
    lines = [{"kind": "tstr", "row": row, "seed": seed, "dice": 0.5} for row in ("Real-All", "DGAN") for seed in seeds]
    write_run(tmp_path, [json.dumps(line) for line in lines])
    shown = section(write_report(tmp_path).read_text(encoding="utf-8"), "Train on synthetic, test on real")
    assert any("`downstream.seeds=3`" in line for line in shown) is said


def test_report_links_the_curves_and_the_samples_that_exist(run_directory: Path) -> None:
    report = write_report(run_directory).read_text(encoding="utf-8")
    assert section(report, "Losses") == ["![Losses of every client over the rounds](curves.png)"]
    assert section(report, "Samples") == [
        "![samples/round-0002.png](<samples/round-0002.png>)",
        "",
        "2 in all; the first is [samples/round-0001.png](<samples/round-0001.png>).",
    ]
    assert (run_directory / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_report_has_a_row_an_alarm_with_its_rounds(run_directory: Path) -> None:
    report = write_report(run_directory).read_text(encoding="utf-8")
    assert section(report, "Alarms") == [
        "| alarm | client | since round | over in round | when it was raised | what may help |",
        "| --- | --- | --- | --- | --- | --- |",
        "| D has won | a | 3 | 8 | loss 0.01 | x \\| y |",
        "| D has won | a | 9 | - | loss 0.01 | x |",
    ]


def test_report_has_the_scores_on_validation_images_and_what_was_taken(tmp_path: Path) -> None:
    checks = [
        {"kind": "check", "round": 3, "metric": "dice", "score": 0.55, "clients": {"a": 0.5, "b": 0.6}, "missing": {}},
        {"kind": "check", "round": 6, "metric": "dice", "score": 0.5, "clients": {"a": 0.5}, "missing": {"b": "gone"}},
        {
            "kind": "check",
            "round": 9,
            "metric": "dice",
            "score": None,
            "clients": {},
            "missing": {"a": "no", "b": "no"},
        },
    ]
    chosen = {"kind": "selection", "best": 3, "taken": 9}
    write_run(tmp_path, [json.dumps(line) for line in (*checks, chosen)])
    lines = section(write_report(tmp_path).read_text(), "Choice of the generator")
    assert lines[:5] == [
        "| round | validation Dice | a | b |  |",
        "| --- | --- | --- | --- | --- |",
        "| 3 | 0.550 | 0.500 | 0.600 | best |",
        "| 6 | 0.500 | 0.500 | - |  |",
        "| 9 | - | - | - | drawn with |",
    ]
    assert lines[-5:-2] == ["| 6 | b | gone |", "| 9 | a | no |", "| 9 | b | no |"]
    assert "held out of its training; the test images have no say" in lines[-1]
    write_run(tmp_path, [json.dumps(line) for line in (*checks[2:], chosen | {"best": None})])
    assert "No node gave a score" in write_report(tmp_path).read_text()


def test_report_of_a_run_that_did_nothing_says_none() -> None:
    report = render_report(RunMetrics((), (), (), (), (), (), ()), "seed: 1")
    for title in (
        "Alarms",
        "Train on synthetic, test on real",
        "What each member gains",
        "Losses",
        "Samples",
        "What left each node",
        "Rejected replies",
    ):
        assert section(report, title) == ["none"], title


def test_table_shows_any_text_as_it_is() -> None:
    assert table(("a", "b"), [("x|y\nz", "<b>")]) == "| a | b |\n| --- | --- |\n| x\\|y z | &lt;b&gt; |"


def test_curves_have_a_line_a_client_with_its_rounds(run_directory: Path) -> None:
    generator_axes, discriminator_axes = loss_figure(read_metrics(run_directory)).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in generator_axes.lines}
    assert drawn == {"a": [[1, 4.0], [2, 2.25]], "b": [[1, 3.0]]}
    drawn = {line.get_label(): line.get_xydata().tolist() for line in discriminator_axes.lines}
    assert drawn == {"a": [[1, 1.5], [2, 0.75]], "b": [[1, 1.0]]}


def test_there_are_no_curves_without_rounds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no round"):
        plot_losses(RunMetrics((), (), (), (), (), (), ()), tmp_path / "curves.png")


def test_curves_of_many_clients_have_room(run_directory: Path) -> None:
    few = read_metrics(run_directory)
    client = next(iter(few.rounds[0].clients.values()))
    many = replace(few, rounds=(replace(few.rounds[0], clients={f"part-{k}": client for k in range(64)}),))
    figure = loss_figure(many)
    figure.draw_without_rendering()
    heights = [axes.get_position().height * figure.get_size_inches()[1] for axes in figure.axes]
    assert min(heights) > 2.5  # inches


def test_bounds_that_applied_are_in_the_report(tmp_path: Path) -> None:
    """Client a was bounded in rounds 1 and 3, b claimed too much in round 1; lines of earlier versions say nothing."""
    first = {**LINES[2], "clients": {"a": {**A_FIRST, "bounded": 8}, "b": {**B_FIRST, "capped": True}}}
    third = {**LINES[3], "round": 3, "clients": {"a": {**A_LAST, "bounded": 2}}, "bounded_together": 5}
    write_run(tmp_path, [json.dumps(line) for line in (first, LINES[3], third)])
    assert section(write_report(tmp_path).read_text(), "Bounds that applied") == [
        "| site | bound | rounds | samples | first round | last round |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | feedback or weights scaled down | 2 | 10 | 1 | 3 |",
        "| b | weight lowered to algorithm.largest_share | 1 | - | 1 | 1 |",
        "| all | feedback scaled down after scores were merged | 1 | 5 | 3 | 3 |",
    ]
    write_run(tmp_path, [json.dumps(line) for line in LINES])
    assert section(write_report(tmp_path).read_text(), "Bounds that applied") == ["none"]


@pytest.mark.parametrize("loss", [3.4e38, -3.4e38, 1.2e77, 0.0])
@pytest.mark.parametrize("name", ["a$\\frac$", "_a", "$", "a\nb"])
def test_curves_of_any_losses_and_names_are_drawn(tmp_path: Path, loss: float, name: str) -> None:
    said = {**A_FIRST, "discriminator_loss": loss, "generator_loss": loss}
    write_run(tmp_path, [json.dumps({**LINES[2], "clients": {name: said}, "late": []})])
    write_report(tmp_path)
    assert (tmp_path / "curves.png").stat().st_size > 0
