"""Metrics are found by the names of their files, and nothing else knows one by name."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score, multiclass_jaccard_index

from flower_dgan import metrics
from flower_dgan.errors import ConfigError
from flower_dgan.metrics import ImageMetric, Metric, described, find_metric, metric_names, shown
from flower_dgan.report import write_report, write_sweep_report
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.tasks.results import summarize
from flower_dgan.tasks.segmentation import TASK
from flower_dgan.tasks.tstr import score
from tests.unit.test_metrics_segmentation import Readout, pairs_of
from tests.unit.test_sweep_report import write_run

NEW = '''
"""The share of wrong pixels."""

from flower_dgan.metrics import Metric


class Wrong:
    def __init__(self):
        self.wrong = self.all = 0

    def add(self, true, predicted):
        self.wrong += int((true != predicted).sum())
        self.all += true.size

    def value(self):
        return self.wrong / self.all


METRIC = Metric("wrong pixels", "masks", lambda classes: Wrong(), best="lowest", form=".1f")
'''


@pytest.fixture
def wrong_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the file of a new metric beside the shipped ones."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/wrong_pixels.py").write_text(NEW)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path / "more")])


def test_the_file_is_the_name() -> None:
    of_instances = {name for name in metric_names(Metric) if find_metric(name, Metric).compares == "instances"}
    assert set(metric_names(Metric)) - of_instances == {"accuracy", "aji", "dice", "f1", "hd95", "iou", "object-dice"}
    assert len(of_instances) == 13
    assert set(metric_names(ImageMetric)) == {"fid", "kid", "precision", "recall"}
    assert find_metric("object-dice", Metric).title == "object Dice"


def test_an_unknown_name_gives_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"Unknown metric 'dicee'\. Did you mean 'dice'\? Known: accuracy, aji, ap, .*, dice"
    ):
        resolve("downstream.metrics=[dicee]")
    # known as a distance of images, but no column; as a file, but no metric
    for name in ("fid", "shared", "object_dice", "../dice", "__init__"):
        with pytest.raises(ConfigError, match=f"Unknown metric '{re.escape(name)}'"):
            find_metric(name, Metric)


@pytest.mark.usefixtures("wrong_pixels")
def test_a_new_file_is_measured() -> None:
    config = resolve.__wrapped__("downstream.metrics=[wrong-pixels,dice]")
    pairs = pairs_of([[[1, 0], [0, 0]]], [[[1, 1], [0, 0]]], 2)
    found = score(TASK, Readout(2), pairs, image_size=2, metrics=config.downstream.metrics)
    assert found == pytest.approx({"wrong-pixels": 1 / 4, "dice": 2 / 3})


@pytest.mark.usefixtures("wrong_pixels")
def test_a_new_file_is_a_column_of_reports_and_sweeps(tmp_path: Path) -> None:
    for seed, (all_, dgan) in enumerate(((2.0, 3.0), (2.0, 5.0))):
        lines = [
            {"kind": "tstr", "row": row, "seed": 0, "wrong-pixels": value, "iou": 0.5}
            for row, value in (("Real-All", all_), ("DGAN", dgan))
        ]
        run = write_run(tmp_path / "sweep", seed, f"algorithm={('dgan', 'uagan')[seed]} model=small", lines)
    (run / "config.yaml").write_text("seed: 1\n")
    report = write_report(run).read_text()
    assert "| trained on | wrong pixels | IoU | wrong pixels / Real-All | seeds | bytes a client | rounds |" in report
    assert "| DGAN | 5.0 | 0.500 | 2.500 | 1 |" in report
    assert "Of wrong pixels the lowest is best." in report
    sweep = write_sweep_report(tmp_path / "sweep").read_text()
    assert "| algorithm | runs | wrong pixels Real-All | wrong pixels DGAN | generator seconds" in sweep
    assert "| uagan | 1 | 2.0 | 5.0 |" in sweep
    assert "The lowest is best." in sweep
    assert ",row,training_seed,wrong-pixels,iou," in (tmp_path / "sweep/sweep.csv").read_text()


def test_figures_of_a_metric_that_is_not_here_are_shown_by_its_name(tmp_path: Path) -> None:
    lines = [{"kind": "tstr", "row": "DGAN", "seed": 0, "boundary-iou": 0.25}]
    run = write_run(tmp_path, 0, "seed=0", lines)
    (run / "config.yaml").write_text("seed: 0\n")
    report = write_report(run).read_text()
    assert "| trained on | boundary-iou | boundary-iou / Real-All |" in report
    assert "| DGAN | 0.250 | - |" in report
    with pytest.raises(ConfigError, match="Unknown metric 'boundary-iou'"):
        described("boundary-iou").begin(2)


def test_a_metric_says_how_it_is_written() -> None:
    assert shown("hd95", 10.25) == "10.250"
    assert shown("dice", 0.5, 0.25) == "0.500 ± 0.250"


def test_tables_sweeps_and_figures_know_no_metric_by_name() -> None:
    root = Path(metrics.__file__).parents[1]
    words = {word for name in metric_names(Metric) for word in (name, described(name).title)}
    known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
    places = [root / "tasks/results.py", root / "tasks/tstr.py", root / "tasks/task.py", root / "config/downstream.py"]
    for folder in ("report", "sweep", "federation", "baselines", "cli"):
        places += sorted((root / folder).rglob("*.py"))
    assert len(places) > 40
    found = []
    for place in places:
        found += [f"{place.name}: {match[0]}" for match in known.finditer(place.read_text())]
    assert found == []


@pytest.mark.parametrize("classes", [2, 5])
def test_figures_are_those_of_torchmetrics(classes: int) -> None:
    random = np.random.default_rng(classes)
    true, predicted = random.integers(0, classes, (2, 6, 8, 8))
    tallies = {name: find_metric(name, Metric).begin(classes) for name in ("dice", "iou", "f1", "accuracy")}
    for name, tally in tallies.items():
        for start in (0, 4):
            batch = slice(start, start + 4)
            pixels = name in ("dice", "iou")
            tally.add(*((each[batch] if pixels else each[batch].ravel()) for each in (true, predicted)))
    given = torch.from_numpy(predicted), torch.from_numpy(true), classes
    expected = {
        "dice": multiclass_f1_score(*given, average=None)[1:].mean(),
        "iou": multiclass_jaccard_index(*given, average=None)[1:].mean(),
        "f1": multiclass_f1_score(*given, average="macro"),
        "accuracy": multiclass_accuracy(*given, average="micro"),
    }
    assert {name: tally.value() for name, tally in tallies.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=1e-6
    )


def test_accuracy_and_f1_by_hand() -> None:
    accuracy, f1 = (find_metric(name, Metric).begin(4) for name in ("accuracy", "f1"))
    for tally in (accuracy, f1):
        tally.add(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
        tally.add(np.array([2]), np.array([0]))
    assert accuracy.value() == 3 / 5
    # class 0: 2 hits of 3 true and 3 predicted; class 1: 1 of 1 and 2; class 2: none of 1 and 0; 3 is nowhere
    assert f1.value() == pytest.approx((4 / 6 + 2 / 3 + 0) / 3)


def test_the_main_metric_is_the_first(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lines = [
        {"kind": "tstr", "row": row, "seed": 0, "accuracy": x, "f1": 0.5}
        for row, x in (("Real-All", 0.8), ("DGAN", 0.6))
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert [row.ratio for row in summarize(read_metrics(tmp_path).tstr)] == [1, pytest.approx(0.75)]
