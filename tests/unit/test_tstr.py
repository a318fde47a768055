"""Tests of the TSTR loop with a fake training, and of its summary with means made by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
from torch import nn

from flower_dgan.comparison.named_metric import parse_metric
from flower_dgan.config import DownstreamConfig
from flower_dgan.data.pairs import Pairs
from flower_dgan.errors import DataError
from flower_dgan.metrics import shown
from flower_dgan.tasks import tstr
from flower_dgan.tasks.results import TstrResult, TstrSummary, summarize
from flower_dgan.tasks.segmentation import Segmentation
from flower_dgan.tasks.task import Task
from flower_dgan.tasks.tstr import score_on_real, train_on_synthetic_test_on_real

CONFIG = DownstreamConfig(
    encoder="resnet18",
    encoder_weights=None,
    steps=1,
    batch_size=2,
    learning_rate=0.1,
    seeds=2,
    rows=(),
    metrics=("dice", "iou"),
    dist_fid=0,
)


class Remembered(nn.Module):
    """Stands for a training and its model: what it was trained on, with which seed and for which steps."""

    def __init__(self, images: int, seed: int) -> None:
        super().__init__()
        self.images = images
        self.seed = seed
        self.steps: list[int] = []

    @property
    def model(self) -> nn.Module:
        return self

    def run(self, steps: int) -> None:
        self.steps.append(steps)


def result(row: str, seed: int, dice: float, iou: float) -> TstrResult:
    return TstrResult(row, seed, {"dice": dice, "iou": iou})


def pairs_of(count: int, channels: int = 1, classes: int = 2) -> Pairs:
    image = np.ones((16, 16, channels), dtype=np.uint8)
    return Pairs((image,) * count, (image[:, :, 0],) * count, classes)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace training and scoring; return the list of the sizes of the sets that were scored on."""
    sizes: list[int] = []

    def fit(task: Task, pairs: Pairs, config: DownstreamConfig, **how: object) -> Remembered:
        assert (config, how["image_size"], how["augmentation"]) == (CONFIG, 16, "flips")
        return Remembered(len(pairs), how["seed"])

    def judged(
        task: Task, model: Remembered, pairs: Pairs, image_size: int, metrics: Sequence[str]
    ) -> tuple[dict[str, float], None]:
        assert (model.steps, image_size, metrics) == ([1], 16, ("dice", "iou"))
        sizes.append(len(pairs))
        return {"dice": model.images / 10, "iou": model.seed / 100}, None

    monkeypatch.setattr(Segmentation, "fit", fit)
    monkeypatch.setattr(tstr, "judged", judged)
    return sizes


def run(rows: dict[str, Pairs], test: Pairs, config: DownstreamConfig = CONFIG) -> tuple[TstrResult, ...]:
    seen: list[TstrResult] = []
    results = train_on_synthetic_test_on_real(
        rows, test, config, image_size=16, augmentation="flips", seed=7, on_result=seen.append
    )
    assert tuple(seen) == results
    return results


def test_every_row_is_trained_with_the_same_seeds_and_tested_on_the_same_pairs(scored: list[int]) -> None:
    results = run({"Real-All": pairs_of(8), "DGAN": pairs_of(6)}, test=pairs_of(3))
    assert results == (
        result("Real-All", 7, 0.8, 0.07),
        result("Real-All", 8, 0.8, 0.08),
        result("DGAN", 7, 0.6, 0.07),
        result("DGAN", 8, 0.6, 0.08),
    )
    assert scored == [3, 3, 3, 3]


def test_no_seeds_mean_no_training(scored: list[int]) -> None:
    assert run({"DGAN": pairs_of(6)}, pairs_of(3), replace(CONFIG, seeds=0)) == ()
    assert scored == []


@pytest.mark.parametrize(
    ("row", "test", "message"),
    [
        (pairs_of(0), pairs_of(1), "'DGAN' has no pair"),
        (pairs_of(1), pairs_of(0), "no real pair"),
        (pairs_of(1, channels=3), pairs_of(1), r"\(3, 2\), the test pairs have \(1, 2\)"),
        (pairs_of(1, classes=3), pairs_of(1), r"\(1, 3\), the test pairs have \(1, 2\)"),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_any_training(
    scored: list[int], row: Pairs, test: Pairs, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run({"Real-All": pairs_of(2), "DGAN": row}, test)
    assert scored == []


def test_summary_has_mean_sample_deviation_and_ratio() -> None:
    first, second = summarize(
        [
            result("DGAN", 0, 0.5, 0.2),
            result("Real-All", 0, 0.8, 0.7),
            result("DGAN", 1, 0.7, 0.5),
            result("DGAN", 2, 0.6, 0.5),
        ]
    )
    # Deviations from 0.6: -0.1, 0.1, 0; from 0.4: -0.2, 0.1, 0.1. Divisor 2.
    assert first == TstrSummary(
        row="DGAN",
        seeds=3,
        means=pytest.approx({"dice": 0.6, "iou": 0.4}),
        deviations=pytest.approx({"dice": 0.1, "iou": sqrt(0.03)}),
        ratio=pytest.approx(0.75),
    )
    assert second == TstrSummary("Real-All", 1, {"dice": 0.8, "iou": 0.7}, {}, 1.0)


@pytest.mark.parametrize("results", [[], [result("Real-All", 0, 0.0, 0.0)]])
def test_no_ratio_to_a_missing_or_zero_reference(results: list[TstrResult]) -> None:
    summaries = summarize([*results, result("DGAN", 0, 0.5, 0.25)])
    assert summaries[-1] == TstrSummary("DGAN", 1, {"dice": 0.5, "iou": 0.25}, {}, None)


def test_summary_of_nothing_is_empty() -> None:
    assert summarize([]) == ()


class Fixed(nn.Module):
    """Gives all pixels the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits[None, :, None, None].expand(len(images), -1, *images.shape[2:])


def half_foreground() -> Pairs:
    label_map = np.zeros((16, 16), np.uint8)
    label_map[:8] = 1
    return Pairs((np.ones((16, 16, 1), np.uint8),), (label_map,), 2)


def test_of_a_model_that_is_not_finite_there_is_no_figure() -> None:
    """The largest of NaN is the first class, so that a Dice of 0 would be a figure of nothing."""
    how = {"row": "DGAN", "seed": 3, "image_size": 16}
    scored = score_on_real(Fixed(math.nan, 1.0), half_foreground(), CONFIG, **how)
    assert all(math.isnan(value) for value in scored.values.values())
    assert str(scored) == "DGAN, seed 3: dice not a number, iou not a number"
    assert scored.remark.startswith("DGAN, seed 3: not a number, as what the model makes of images are not finite (256")
    broken = Fixed(0.0, 1.0)
    broken.register_buffer("weight", torch.tensor([math.inf]))
    assert (
        "weights of the model (weight) are not finite" in score_on_real(broken, half_foreground(), CONFIG, **how).remark
    )
    (summary,) = summarize([scored])
    assert (summary.shown("dice"), summary.ratio) == ("not a number", None)


def test_a_model_that_finds_one_class_everywhere_has_learned_nothing() -> None:
    how = {"row": "DGAN", "seed": 0, "image_size": 16}
    scored = score_on_real(Fixed(0.0, 1.0), half_foreground(), CONFIG, **how)
    # 128 of 256 pixels are foreground: 2 * 128 / (128 + 256)
    assert scored.values["dice"] == pytest.approx(2 / 3)
    assert scored.remark == "DGAN, seed 0: the model finds class 1 everywhere: it has learned nothing."
    all_foreground = Pairs((np.ones((16, 16, 1), np.uint8),), (np.ones((16, 16), np.uint8),), 2)
    assert score_on_real(Fixed(0.0, 1.0), all_foreground, CONFIG, **how).remark == ""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_written_so(value: float) -> None:
    assert shown("dice", value) == "not a number"
    assert shown("hd95", 1.0, value) == "1.000 ± not a number"
    assert parse_metric("fid-segmenter-256-n10").shown(value) == "not a number"
