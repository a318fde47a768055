"""Average precision by numbers made by hand, and held against COCO's own API."""

import contextlib
import io
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flower_dgan.data.coco_annotations import to_segmentation
from flower_dgan.data.object_masks import ObjectMasks, Region, in_array
from flower_dgan.errors import DataError
from flower_dgan.metrics import Metric, find_metric, metric_names
from flower_dgan.metrics.shared.average_precision import MOST, THRESHOLDS, matched

NAMES = [name for name in metric_names(Metric) if find_metric(name, Metric).compares == "instances"]


def box(top: int, left: int, rows: int, columns: int) -> Region:
    return Region(top, left, np.ones((rows, columns), bool))


def image(*regions: Region, scores: tuple[float, ...] = (), crowds: tuple[bool, ...] = ()) -> ObjectMasks:
    return ObjectMasks(40, 40, regions, crowds, scores)


def value(name: str, *pairs: tuple[ObjectMasks, ObjectMasks]) -> float:
    tally = find_metric(name, Metric).begin(4)
    for true, predicted in pairs:  # image by image, as they come
        tally.add(in_array([true]), in_array([predicted]))
    return tally.value()


# Two that share a corner of 2 x 2 pixels, and one apart.
TRUE = image(box(0, 0, 10, 10), box(8, 8, 10, 10), box(25, 25, 10, 10))


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_worth_one(name: str) -> None:
    found = replace(TRUE, scores=(0.3, 0.9, 0.5))
    assert value(name, (TRUE, found), (image(), image())) == pytest.approx(1, abs=1e-12)
    assert value(name, (TRUE, image())) == 0


@pytest.mark.parametrize("name", NAMES)
def test_where_there_is_nothing_to_find_there_is_no_figure(name: str) -> None:
    assert math.isnan(value(name, (image(), image())))


def test_hits_and_false_ones_by_hand() -> None:
    """Scores 0.9 hit, 0.8 false, 0.7 hit of three: precision 1 up to recall 1/3, 2/3 up to 2/3, then 0."""
    found = image(TRUE.regions[0], box(30, 0, 5, 5), TRUE.regions[1], scores=(0.9, 0.8, 0.7))
    of_101 = (34 * 1 + 33 * 2 / 3) / 101  # recall 0, 0.01 ... 0.33 and 0.34 ... 0.66
    assert value("ap50", (TRUE, found)) == pytest.approx(of_101)
    assert value("ap", (TRUE, found)) == pytest.approx(of_101)
    assert value("dsb50", (TRUE, found)) == 2 / 4
    assert value("objects-found", (TRUE, found)) == 2 / 3
    assert value("objects-found-overlapping", (TRUE, found)) == 1
    # of the overlapping ones both are found; what lies nowhere is false among them, too
    assert value("ap50-overlapping", (TRUE, found)) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_thresholds_are_where_they_should_be() -> None:
    """A square of 10 x 10 found as 8 rows of it has IoU 0.8."""
    true, found = image(box(0, 0, 10, 10)), image(box(0, 0, 8, 10), scores=(0.5,))
    figures = {name: value(name, (true, found)) for name in ("ap", "ap50", "ap75", "dsb70", "dsb80", "dsb90")}
    # 0.8 is reached (COCO), and not exceeded (Caicedo)
    assert figures == {"ap": pytest.approx(0.7), "ap50": 1, "ap75": 1, "dsb70": 1, "dsb80": 0, "dsb90": 0}
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_only_overlapping_objects_are_wanted_and_the_others_ignored() -> None:
    alone = image(TRUE.regions[2], scores=(0.9,))
    assert value("ap50-overlapping", (TRUE, alone)) == 0
    both = image(*TRUE.regions, scores=(0.1, 0.2, 0.9))
    assert value("ap50-overlapping", (TRUE, both)) == 1
    assert math.isnan(value("ap-overlapping", (image(box(0, 0, 5, 5)), both)))


def test_crowds_are_neither_found_nor_missed() -> None:
    true = image(box(0, 0, 10, 10), box(20, 20, 20, 20), crowds=(False, True))
    found = image(box(0, 0, 10, 10), box(22, 22, 5, 5), box(30, 30, 5, 5), scores=(0.5, 0.9, 0.8))
    for name in ("ap", "ap50", "dsb50", "objects-found"):
        assert value(name, (true, found)) == 1, name
    beside = image(box(0, 0, 10, 10), box(0, 20, 5, 5), scores=(0.5, 0.9))
    assert value("ap50", (true, beside)) == pytest.approx(0.5)
    assert value("dsb50", (true, beside)) == 0.5


def test_objects_below_the_threshold_count_in_average_precision_alone() -> None:
    found = replace(TRUE, scores=(0.9, 0.8, 0.2), threshold=0.5)
    assert value("ap50", (TRUE, found)) == 1
    assert value("dsb50", (TRUE, found)) == 2 / 3 == value("objects-found", (TRUE, found))


def test_shares_are_a_mean_over_images_and_what_is_found_is_counted_over_all() -> None:
    one = (image(box(0, 0, 5, 5)), image(box(0, 0, 5, 5), scores=(1.0,)))
    other = (TRUE, image(box(30, 0, 5, 5), scores=(1.0,)))
    assert value("dsb50", one, other) == 1 / 2
    assert value("objects-found", one, other) == 1 / 4
    nothing_there = (image(), image(box(30, 0, 5, 5), scores=(1.0,)))
    assert value("dsb50", one, nothing_there) == 1 / 2


def test_partners_are_as_many_as_can_be() -> None:
    """The first predicted one fits both, the second only the first: each gets its own."""
    true = image(box(0, 0, 10, 10), box(0, 0, 10, 16))
    found = image(box(0, 0, 10, 12), box(0, 0, 10, 8), scores=(0.9, 0.5))
    hit, false = matched(true, found, 0.5)
    assert (hit.tolist(), false) == ([True, True], 0)


def many(count: int, score: float | None = None) -> ObjectMasks:
    regions = tuple(box(2 * (index // 50), 2 * (index % 50), 1, 1) for index in range(count))
    return ObjectMasks(100, 100, regions, scores=() if score is None else (score,) * count)


def test_more_than_a_hundred_objects_are_all_looked_at() -> None:
    assert value("ap", (many(281), many(281, 0.5))) == 1
    assert value("ap", (many(281), many(140, 0.5))) == pytest.approx(50 / 101)  # recall 0 to 0.49
    with pytest.raises(DataError, match=r"holds 1,001 objects, .* 1,000 predicted ones"):
        value("ap", (many(1001), many(1, 0.5)))
    assert MOST == 1000
    titles = [find_metric(name, Metric).title for name in NAMES if name.startswith("ap")]
    assert len(titles) == 6
    assert all("maxDets 1000" in title for title in titles)


def cocos_own(images: list[tuple[ObjectMasks, ObjectMasks]], thresholds: list[float], overlapping: bool) -> float:
    """Return the figure that pycocotools has for the same limits."""
    true, found, listed = [], [], []
    for number, (one, other) in enumerate(images, start=1):
        listed.append({"id": number, "height": one.height, "width": one.width})
        for region, crosses in zip(one.regions, one.overlapping().tolist(), strict=True):
            entry = {
                "id": len(true) + 1,
                "image_id": number,
                "category_id": 1,
                "area": region.area,
                "bbox": [0, 0, 1, 1],
            }
            crowd = int(overlapping and not crosses)
            true.append({**entry, "iscrowd": crowd, "segmentation": to_segmentation(region, one.height, one.width)})
        for region, score in zip(other.regions, other.scores, strict=True):
            entry = {"image_id": number, "category_id": 1, "score": score}
            found.append({**entry, "segmentation": to_segmentation(region, other.height, other.width)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": listed, "annotations": true, "categories": [{"id": 1, "name": "a"}]}
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(found), "segm")
        run.params.maxDets, run.params.iouThrs = [MOST], np.array(thresholds)
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"]
    return float(precision[precision > -1].mean())


def test_figures_are_those_of_cocos_own_api() -> None:
    random = np.random.default_rng(0)

    def squares(count: int) -> list[Region]:
        places = random.integers(0, 28, (count, 2)).tolist()
        return [box(top, left, *random.integers(6, 12, 2)) for top, left in places]

    images = []
    for count in (0, 3, 9, 14):
        regions = squares(count)
        moved = [box(max(each.top - 1, 0), each.left, *each.pixels.shape) for each in regions if random.random() < 0.8]
        guesses = [*moved, *squares(4)]
        scores = tuple(random.random(len(guesses)).round(2).tolist())
        images.append((image(*regions), image(*guesses, scores=scores)))
    images.append((many(281), many(200, 0.5)))
    whole = [(name, float(at)) for name, at in (("ap50", 0.5), ("ap75", 0.75))]
    for overlapping, suffix in ((False, ""), (True, "-overlapping")):
        assert value(f"ap{suffix}", *images) == pytest.approx(cocos_own(images, [*THRESHOLDS], overlapping), abs=1e-6)
        for name, at in whole:
            assert value(f"{name}{suffix}", *images) == pytest.approx(cocos_own(images, [at], overlapping), abs=1e-6)
    values = [value(name, *images) for name in ("dsb50", "dsb60", "dsb70", "dsb80", "dsb90")]
    assert all(low >= high for low, high in pairwise(values))
    assert 0 < values[-1] < values[0] < 1
