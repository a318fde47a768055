"""Crowds, areas of objects that nobody told apart: no object of their own wherever objects are counted or drawn."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flower_dgan.data.check_objects import _described
from flower_dgan.data.class_maps import BODY, CROSSING, LINE, class_map
from flower_dgan.data.coco_annotations import CocoFile, write_coco
from flower_dgan.data.object_files import KeptObjects
from flower_dgan.data.object_masks import ObjectMasks, Region, in_array, of_stack
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import DataError
from flower_dgan.metrics import Metric, find_metric
from flower_dgan.metrics.shared.average_precision import matched
from flower_dgan.tasks.instances.threshold import choose_threshold


def box(top: int, left: int, rows: int, columns: int) -> Region:
    return Region(top, left, np.ones((rows, columns), bool))


# A bar within a crowd, and another elsewhere.
ALONE, CROWD, APART = box(10, 4, 3, 24), box(4, 0, 20, 32), box(36, 4, 3, 24)
CROWDED = ObjectMasks(48, 48, (ALONE, CROWD, APART), (False, True, False))


def test_a_crowd_and_nothing_that_counts() -> None:
    """One object is missed, and nothing is false."""
    nothing = ObjectMasks(48, 48, ())
    hit, false = matched(CROWDED, nothing, 0.5)
    assert (hit.tolist(), false) == ([False, False], 0)
    unsure = ObjectMasks(48, 48, (ALONE, APART), scores=(0.2, 0.3), threshold=0.5)
    assert matched(CROWDED, unsure, 0.5)[1] == 0
    # none counts at the highest candidates, both hit at the lowest
    assert choose_threshold([CROWDED], [replace(unsure, threshold=0.0)]) == 0
    for name in ("dsb50", "objects-found"):
        tally = find_metric(name, Metric).begin(4)
        tally.add(in_array([CROWDED]), in_array([nothing]))
        assert tally.value() == 0, name


def test_an_object_in_a_crowd_overlaps_none() -> None:
    assert CROWDED.overlapping().tolist() == [False] * 3
    two = ObjectMasks(48, 48, (ALONE, CROWD, box(0, 10, 20, 3)), (False, True, False))
    assert two.overlapping().tolist() == [True, False, True]
    tally = find_metric("ap50-overlapping", Metric).begin(4)
    tally.add(in_array([CROWDED]), in_array([ObjectMasks(48, 48, (APART,), scores=(0.9,))]))
    assert math.isnan(tally.value())


def test_a_crowd_is_body_in_a_class_map_and_crosses_nothing() -> None:
    drawn = class_map(CROWDED)
    assert not (drawn == CROSSING).any()
    assert (drawn[9:14, 8:24] == LINE).any(0).all()  # the object in it keeps its line
    assert drawn[20, 2] == BODY
    assert (drawn > 0).sum() == CROWD.area + APART.area


def test_a_crowd_has_no_number_and_is_not_measured() -> None:
    assert np.bincount(CROWDED.numbers().ravel()).tolist() == [48 * 48 - 144, 72, 72]
    said = _described([CROWDED])
    assert said.startswith("2 objects in 1 pairs, 2 to 2 a pair: 0 (0%) share pixels")
    assert said.endswith("1 crowds stand for objects that nobody told apart.")


def test_crowds_are_carried_through_prepare(tmp_path: Path) -> None:
    masks = np.zeros((2, 520, 696), bool)
    masks[0, 140:150, 200:320] = masks[1, 200:300, 200:320] = True
    (tmp_path / "in/images").mkdir(parents=True)
    Image.fromarray(np.where(masks.any(0), 0, 255).astype(np.uint8)).save(tmp_path / "in/images/c_A01.png")
    write_coco(tmp_path / "in/worms.json", {"c_A01.png": replace(of_stack(masks), crowds=(False, True))}, "worm")
    prepare("bbbc010", tmp_path / "in", tmp_path / "out", PrepareSettings())
    (kept,) = KeptObjects(tmp_path / "out").read(["tr_c01-12_A01_0"])
    assert kept.crowds == (False, True)


@pytest.mark.parametrize(("value", "crowds"), [(0, ()), (1, (True,)), (True, (True,)), (1.0, (True,))])
def test_what_marks_a_crowd(tmp_path: Path, value: object, crowds: tuple[bool, ...]) -> None:
    assert CocoFile(_file(tmp_path, value)).objects("a").crowds == crowds


@pytest.mark.parametrize("value", ["1", "0", 2, None, [1]])
def test_what_marks_neither_a_crowd_nor_an_object_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(DataError, match=r"annotation 7 of a\.png with iscrowd .*: write 0 or 1"):
        CocoFile(_file(tmp_path, value)).objects("a")


def _file(root: Path, value: object) -> Path:
    path = root / "a.json"
    image = {"id": 1, "file_name": "a.png", "height": 4, "width": 4}
    whole = {"size": [4, 4], "counts": [0, 16]}
    annotation = {"id": 7, "image_id": 1, "category_id": 1, "segmentation": whole, "iscrowd": value}
    path.write_text(json.dumps({"images": [image], "annotations": [annotation], "categories": []}))
    return path
