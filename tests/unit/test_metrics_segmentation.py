"""Tests of the scores of segmentations: counts made by hand, and loops over single pixels and objects."""

from math import hypot, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from flower_dgan.data.folder_source import FolderSource
from flower_dgan.data.instances import with_instances
from flower_dgan.data.pairs import Pairs
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.metrics import Ids
from flower_dgan.metrics.aji import AggregatedJaccard
from flower_dgan.metrics.hd95 import hausdorff95
from flower_dgan.metrics.object_dice import ObjectDice
from flower_dgan.resolve import resolve
from flower_dgan.tasks.segmentation import TASK
from flower_dgan.tasks.segmentation.predict import check_masks, number_objects
from flower_dgan.tasks.tstr import score as score_task
from tests.pairs import make_folder

Mask = NDArray[np.bool_]
ALL = ("dice", "iou", "hd95", "object-dice", "aji")
MASKS = arrays(bool, (6, 7))
IDS = arrays(np.int64, (5, 6), elements=st.integers(0, 4))


class Readout(nn.Module):
    """Predicts as class of a pixel its grey value in 0 .. 255."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = ((images[:, 0] + 1) * 127.5).round().long()
        return nn.functional.one_hot(values, self.classes).permute(0, 3, 1, 2).float()


def pairs_of(predicted: list[list[list[int]]], true: list[list[list[int]]], classes: int) -> Pairs:
    images = tuple(np.array(image, dtype=np.uint8)[:, :, None] for image in predicted)
    return Pairs(images, tuple(np.array(label_map, dtype=np.uint8) for label_map in true), classes)


def score(pairs: Pairs, image_size: int = 2) -> dict[str, float]:
    return score_task(TASK, Readout(pairs.classes), pairs, image_size=image_size, metrics=("dice", "iou"))


def test_score_counts_pixels_over_all_windows_of_all_images() -> None:
    pairs = pairs_of(
        predicted=[[[1, 1, 0, 0], [1, 0, 0, 2]], [[0, 0], [0, 2]]],
        true=[[[1, 0, 0, 0], [1, 0, 2, 2]], [[1, 0], [0, 0]]],
        classes=3,
    )
    # Class 1: 2 true positives, 1 false positive, 1 false negative; class 2: 1, 1, 1.
    found = score(pairs)
    assert found["dice"] == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert found["iou"] == pytest.approx((2 / 4 + 1 / 3) / 2)


def test_score_does_not_depend_on_the_batches_that_windows_come_in() -> None:
    # 40 windows: 39 with a hit, the last (in the second batch) with a miss and a false alarm.
    hit, miss = [[1, 0], [0, 0]], [[0, 1], [0, 0]]
    found = score(pairs_of([hit] * 39 + [miss], [hit] * 40, 2))
    assert found["dice"] == pytest.approx(78 / 80)
    assert found["iou"] == pytest.approx(39 / 41)


def test_a_class_that_is_nowhere_is_left_out() -> None:
    pairs = pairs_of([[[1, 0], [0, 0]]], [[[1, 0], [0, 0]]], classes=3)
    assert score(pairs) == {"dice": 1.0, "iou": 1.0}


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    pairs = pairs_of([[[1, 2], [0, 0]]], [[[1, 0], [0, 0]]], classes=3)
    assert score(pairs) == {"dice": 0.5, "iou": 0.5}


def test_score_wants_foreground_in_the_true_label_maps() -> None:
    with pytest.raises(DataError, match="no foreground pixel"):
        score(pairs_of([[[1, 0], [0, 0]]], [[[0, 0], [0, 0]]], 2))


def square(top: int, left: int, side: int = 3) -> Mask:
    mask = np.zeros((12, 12), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_outlines_of_a_moved_square_are_as_far_apart_as_it_moved() -> None:
    # Of the 8 pixels of each outline, 3 are 4 away from the other square, 2 are 3 away, 3 are 2 away: the 95th of 8
    # sorted values is at place 6.65, among the fours.
    assert hausdorff95(square(1, 1), square(1, 5)) == pytest.approx(4)
    assert hausdorff95(square(1, 1), square(1, 1)) == 0


def test_distance_is_the_95th_percentile_and_not_the_maximum() -> None:
    # 39 pixels of the outline of a line of 40 are on the other line, which is one shorter: the 95th percentile of
    # thirty-nine 0 and one 1 is 0 at place 37.05.
    line, shorter = np.zeros((2, 1, 60), dtype=bool)
    line[0, :40], shorter[0, :39] = True, True
    assert hausdorff95(line, shorter) == 0
    # Ten 0 and one 20, the stray pixel's: place 9.5 is half-way between the last two.
    line, stray = np.zeros((2, 1, 60), dtype=bool)
    line[0, :10], stray[0, :10] = True, True
    stray[0, 29] = True
    assert hausdorff95(line, stray) == hausdorff95(stray, line) == pytest.approx(20 / 2)


def test_an_empty_mask_is_as_far_as_the_diagonal() -> None:
    empty = np.zeros((3, 4), dtype=bool)
    assert hausdorff95(empty, empty) == 0
    assert hausdorff95(empty, ~empty) == hausdorff95(~empty, empty) == 5


def slow_hausdorff95(true: Mask, predicted: Mask) -> float:
    def outline(mask: Mask) -> list[tuple[int, int]]:
        padded = np.pad(mask, 1)
        inside = [(int(y), int(x)) for y, x in np.argwhere(mask)]
        around = ((0, 1), (2, 1), (1, 0), (1, 2))
        return [(y, x) for y, x in inside if not all(padded[y + dy, x + dx] for dy, dx in around)]

    def directed(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> float:
        nearest = sorted(min(hypot(y - v, x - u) for v, u in second) for y, x in first)
        place = 0.95 * (len(nearest) - 1)
        low = int(place)
        return nearest[low] + (place - low) * (nearest[min(low + 1, len(nearest) - 1)] - nearest[low])

    a, b = outline(true), outline(predicted)
    if not a and not b:
        return 0.0
    return max(directed(a, b), directed(b, a)) if a and b else hypot(*true.shape)


@settings(max_examples=60, deadline=None)
@given(MASKS, MASKS)
def test_distance_is_that_of_loops_over_pixels(true: Mask, predicted: Mask) -> None:
    assert hausdorff95(true, predicted) == pytest.approx(slow_hausdorff95(true, predicted))


def test_pixels_that_touch_at_a_corner_are_one_object() -> None:
    assert number_objects(np.eye(3, dtype=bool)).max() == 1
    assert number_objects(np.array([[True, False, True]])).max() == 2


# Two true objects of 4 and 2 pixels. Predicted: 5 finds three pixels of the first and one of the second, 6 the other
# pixel of the second, and 7 is nowhere true.
TRUE = np.array([[1, 1, 1, 1, 2, 2, 0, 0]])
PREDICTED = np.array([[0, 5, 5, 5, 5, 6, 0, 7]])


def tallies(true: Ids, predicted: Ids) -> tuple[ObjectDice, AggregatedJaccard]:
    both = ObjectDice(), AggregatedJaccard()
    for tally in both:
        tally.add(true[None], predicted[None])
    return both


def test_scores_of_objects_by_hand() -> None:
    dice, tally = tallies(TRUE, PREDICTED)
    # Object Dice: 1 with 5: 2 * 3 / (4 + 4); 2 with 5 (a tie with 6): 2 * 1 / (2 + 4). 5 with 1: 3 / 4; 6 with 2:
    # 2 * 1 / (1 + 2); 7 with none: 0. Weights 4 / 6, 2 / 6 and 4 / 6, 1 / 6, 1 / 6.
    assert dice.value() == pytest.approx((4 / 6 * 3 / 4 + 2 / 6 * 1 / 3 + 4 / 6 * 3 / 4 + 1 / 6 * 2 / 3) / 2)
    # AJI: 1 with 5: 3 of 5 pixels; 2 with 6 (1 / 2, not 1 / 5): 1 of 2; 7 is left over.
    assert (tally.common, tally.joint) == (3 + 1, 5 + 2 + 1)
    assert tally.value() == 4 / 8


def test_a_predicted_object_may_be_the_partner_of_two() -> None:
    _, tally = tallies(np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 1, 1, 1]]))
    assert tally.value() == (2 + 2) / (5 + 5)


def test_no_prediction_scores_0_and_a_perfect_one_1() -> None:
    assert [tally.value() for tally in tallies(TRUE, np.zeros_like(TRUE))] == [0, 0]
    assert [tally.value() for tally in tallies(TRUE, TRUE)] == [1, 1]


def test_tallies_of_windows_add_up() -> None:
    dice, aji = tallies(TRUE, PREDICTED)
    for tally in (dice, aji):
        tally.add(np.zeros((1, *TRUE.shape), int), np.array([[[1, 1, 0, 0, 0, 0, 0, 0]]]))
        tally.add(np.zeros((1, *TRUE.shape), int), np.zeros((1, *TRUE.shape), int))
    assert aji.value() == 4 / (8 + 2)
    # the two pixels of the new object have Dice 0, and its side had 4 * 3 / 4 + 1 * 2 / 3 of 6 pixels
    assert dice.value() == pytest.approx(((4 * 3 / 4 + 2 * 1 / 3) / 6 + (4 * 3 / 4 + 2 / 3) / 8) / 2)


def slow_object_scores(true: Ids, predicted: Ids) -> tuple[float, float]:
    def objects(ids: Ids) -> list[set[tuple[int, ...]]]:
        return [set(map(tuple, np.argwhere(ids == k).tolist())) for k in range(1, 5) if (ids == k).any()]

    def half(these: list[set[tuple[int, ...]]], others: list[set[tuple[int, ...]]]) -> float:
        total = 0.0
        for one in these:
            best: set[tuple[int, ...]] = set()
            for other in others:
                if len(one & other) > len(one & best):
                    best = other
            total += len(one) * 2 * len(one & best) / (len(one) + len(best))
        return total / sum(map(len, these)) if these else 0.0

    truth, guess = objects(true), objects(predicted)
    common, joint, used = 0, 0, set()
    for one in truth:
        ratios = [len(one & other) / len(one | other) for other in guess]
        if max(ratios, default=0) == 0:
            joint += len(one)
            continue
        best = ratios.index(max(ratios))
        used.add(best)
        common, joint = common + len(one & guess[best]), joint + len(one | guess[best])
    joint += sum(len(other) for k, other in enumerate(guess) if k not in used)
    return (half(truth, guess) + half(guess, truth)) / 2, common / joint


@settings(max_examples=100, deadline=None)
@given(IDS.filter(np.any), IDS)
def test_scores_of_objects_are_those_of_loops(true: Ids, predicted: Ids) -> None:
    assert tuple(tally.value() for tally in tallies(true, predicted)) == pytest.approx(
        slow_object_scores(true, predicted)
    )


def test_a_model_is_scored_by_all_metrics_over_all_windows() -> None:
    # Windows of 2 x 2. The first: one of two true pixels found, 1 from the other. The second: a false alarm. The
    # third: nothing there, nothing found.
    pairs = pairs_of([[[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]], [[[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]], 2)
    found = score_task(TASK, Readout(2), pairs, image_size=2, metrics=ALL)
    assert tuple(found) == ALL
    assert found == pytest.approx(
        {
            "dice": 2 / 4,
            "iou": 1 / 3,
            # the 95th percentile of 0 and 1, the diagonal, and 0
            "hd95": (0.95 + sqrt(8) + 0) / 3,
            # true: 2 * 1 / 3; predicted: half the area has 2 / 3, half has 0
            "object-dice": (2 / 3 + 1 / 3) / 2,
            "aji": 1 / (2 + 1),
        }
    )


def test_numbered_objects_go_before_connected_components() -> None:
    pairs = pairs_of([[[1, 1], [0, 0]]], [[[1, 1], [0, 0]]], 2)
    numbered = Pairs(pairs.images, pairs.label_maps, 2, (np.array([[3, 900], [0, 0]], dtype=np.uint16),))
    scores = [score_task(TASK, Readout(2), each, image_size=2, metrics=("aji", "dice")) for each in (pairs, numbered)]
    assert scores == [{"aji": 1.0, "dice": 1.0}, {"aji": 2 / 4, "dice": 1.0}]


def test_distance_is_a_mean_over_classes() -> None:
    pairs = pairs_of([[[1, 0], [0, 2]]], [[[1, 0], [0, 0]]], 4)
    found = score_task(TASK, Readout(4), pairs, image_size=2, metrics=("hd95",))
    assert found == {"hd95": pytest.approx((0 + sqrt(8)) / 2)}


def test_metrics_that_do_not_fit_the_pairs_are_refused() -> None:
    several = pairs_of([[[1, 0], [0, 2]]], [[[1, 0], [0, 2]]], 3)
    with pytest.raises(ConfigError, match="2 classes beside the background"):
        check_masks(several, objects=True)
    check_masks(several, objects=False)
    none = Pairs(several.images, (several.label_maps[0] // 2,), 2, (np.zeros((2, 2), dtype=np.uint16),))
    with pytest.raises(DataError, match="hold no object"):
        check_masks(none, objects=True)
    with pytest.raises(ValueError, match="shapes of the label maps"):
        Pairs(several.images, several.label_maps, 3, (np.zeros((2, 3), dtype=np.uint16),))


def test_a_folder_may_number_its_objects(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "folder", sites=1, images=1, size=64)
    config = resolve(f"data=folder data.root={root}").data
    source = FolderSource(config)
    plain = source.load(source.test)
    assert with_instances(plain, config, source.test) is plain
    (root / "instances").mkdir()
    with pytest.raises(DataError, match=f"lacks {source.test[0].name}, and 2 of the 2 test pairs"):
        with_instances(plain, config, source.test)
    for number, label_map in enumerate(plain.label_maps):
        entry = source.test[number]
        ids = np.where(label_map > 0, ndimage.label(label_map)[0] + 1000, 0).astype(np.uint16)
        Image.fromarray(ids).save(root / "instances" / f"{entry.name}.png")
    numbered = with_instances(plain, config, source.test).instances
    assert numbered is not None
    for ids, label_map in zip(numbered, plain.label_maps, strict=True):
        assert set(ids.ravel().tolist()) == {0, *range(1001, 1001 + ndimage.label(label_map)[1])}
    Image.fromarray(ids[:5]).save(root / "instances" / f"{entry.name}.png")
    with pytest.raises(DataError, match="is 5 x 64 pixels"):
        with_instances(plain, config, source.test)
