"""Objects that overlap: in memory, as run lengths, in the files of COCO, and as one class map."""

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from flower_dgan.config import DataConfig
from flower_dgan.data import Entry, Pairs, object_files
from flower_dgan.data.array_files import write_image
from flower_dgan.data.centre_lines import centre_line, evenly, length
from flower_dgan.data.check import check_data
from flower_dgan.data.class_maps import BODY, CROSSING, GROUND, LINE, class_map
from flower_dgan.data.coco_annotations import CocoFile, write_coco
from flower_dgan.data.instances import with_instances
from flower_dgan.data.object_files import KeptObjects, whole_objects
from flower_dgan.data.object_masks import ObjectMasks, Region, of_numbers, of_stack, region_of
from flower_dgan.data.run_lengths import from_text, lengths_of, mask_of, to_text
from flower_dgan.data.whole_objects import with_objects
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve


def cross(side: int = 31) -> ObjectMasks:
    """Return a bar from left to right and one from top to bottom, three pixels wide, that cross in the middle."""
    masks = np.zeros((2, side, side), dtype=bool)
    middle = slice(side // 2 - 1, side // 2 + 2)
    masks[0, middle, 2 : side - 2] = masks[1, 2 : side - 2, middle] = True
    return of_stack(masks)


def test_masks_are_kept_whole_and_cut_only_in_numbers() -> None:
    objects = cross()
    assert objects.stack().sum((1, 2)).tolist() == [81, 81] == [each.area for each in objects.regions]
    assert (objects.depth() == 2).sum() == 9
    assert objects.overlapping().tolist() == [True, True]
    assert np.bincount(objects.numbers().ravel()).tolist() == [31 * 31 - 153, 72, 81]
    again = of_numbers(objects.numbers() * 500)
    assert [each.area for each in again.regions] == [72, 81]
    assert again.overlapping().tolist() == [False, False]
    assert len(of_numbers(np.zeros((3, 4), int))) == 0
    assert [each.area for each in of_numbers(np.array([[3, 3], [7, 7]])).regions] == [2, 2]


def test_windows_cut_objects_and_leave_out_those_outside() -> None:
    objects = ObjectMasks(31, 31, cross().regions, crowds=(False, True))
    corner = objects.window(0, 13, 10, 5)  # the upright bar alone, rows 2 to 9
    assert (corner.height, corner.width, len(corner), corner.crowds) == (10, 5, 1, (True,))
    assert corner.regions[0].area == 24
    assert objects.window(0, 0, 2, 2).regions == ()


def test_what_does_not_fit_is_refused() -> None:
    region = Region(0, 0, np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="1 objects and 2 crowds"):
        ObjectMasks(4, 4, (region,), scores=(0.5, 0.5))
    with pytest.raises(ValueError, match="of an image of 1 x 4"):
        ObjectMasks(1, 4, (region,))
    with pytest.raises(ValueError, match="without a pixel"):
        region_of(np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match="objects that are not of images of the sizes"):
        Pairs((np.zeros((3, 3, 1), np.uint8),), (np.zeros((3, 3), np.uint8),), 2, objects=(cross(),))


def test_run_lengths_are_those_of_cocos_api() -> None:
    assert lengths_of(np.array([[False, True], [False, True], [True, False]])) == [2, 3, 1]
    assert lengths_of(np.array([[True, False]])) == [0, 1, 1]
    random = np.random.default_rng(0)
    for _ in range(100):
        mask = random.random(random.integers(1, 60, 2)) > random.random()
        text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert to_text(lengths_of(mask)) == text
        assert from_text(text) == lengths_of(mask)
        assert (mask_of(from_text(text), *mask.shape) == mask).all()


@pytest.mark.parametrize("text", ["\x00", "~~~~", "oooooooooo0", "o", "é"])
def test_text_that_is_no_run_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="its text"):
        from_text(text)


def coco(root: Path, segmentation: object, **other: object) -> Path:
    path = root / "instances.json"
    images = [{"id": 5, "file_name": "some/where/a.png", "height": 8, "width": 6}]
    annotation = {"id": 1, "image_id": 5, "category_id": 1, "iscrowd": 0, "segmentation": segmentation}
    path.write_text(json.dumps({"images": images, "annotations": [annotation], "categories": [], **other}))
    return path


POLYGON = [[1, 1, 5, 1, 5, 7, 1, 7]]
SQUARE = {"size": [8, 6], "counts": [9, 6, 2, 6, 2, 6, 2, 6, 9]}


@pytest.mark.parametrize(
    "segmentation",
    [POLYGON, SQUARE, {"size": [8, 6], "counts": to_text(SQUARE["counts"])}],
    ids=["polygon", "rle", "text"],
)
def test_all_three_kinds_of_segmentation_are_read(tmp_path: Path, segmentation: object) -> None:
    (region,) = CocoFile(coco(tmp_path, segmentation)).objects("a").regions
    assert (region.top, region.left, region.pixels.shape) == (1, 1, (6, 4))
    assert region.pixels.all()


def test_polygons_are_filled_as_cocos_api_does(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        polygon = (random.random(10) * 6).round(2).tolist()
        expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], 8, 6))) > 0
        if expected.any():
            assert (CocoFile(coco(tmp_path, [polygon])).objects("a").stack()[0] == expected).all()


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (None, "neither polygons nor run lengths"),
        ([], "x and y of three points"),
        ([[1, 1, 2, 2]], "x and y of three points"),
        ([[1, 1, 2, 2, float("nan"), 3]], "no number, or far outside"),
        ([[1, 1, 2, 2, 1e30, 3]], "no number, or far outside"),
        ([[0.1, 0.1, 0.2, 0.1, 0.2, 0.2]], "a mask without a pixel"),
        ({"size": [6, 8], "counts": [48]}, r"for height and width \[6, 8\]"),
        ({"size": [8, 6], "counts": [47]}, "47 pixels in all, and 8 x 6 are wanted"),
        ({"size": [8, 6], "counts": [49, -1]}, "not all whole numbers"),
        ({"size": [8, 6], "counts": [2**70]}, "pixels in all"),
        ({"size": [8, 6], "counts": "ooo"}, "ends within a run length"),
        ({"size": [8, 6], "counts": {"a": 1}}, "neither a list nor text"),
        ({"size": [8, 6], "counts": [48]}, "a mask without a pixel"),
    ],
)
def test_masks_that_cannot_be_are_refused_by_name(tmp_path: Path, segmentation: object, words: str) -> None:
    with pytest.raises(DataError, match=f"annotation 1 of some/where/a.png, which is no mask: .*{words}"):
        CocoFile(coco(tmp_path, segmentation)).objects("a")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"images": 1}, "has no lists 'images'"),
        ({"images": [{"id": 5}]}, "an image without id or file_name"),
        ({"images": [{"id": 5, "file_name": "a", "height": 0, "width": 6}]}, "give both in pixels"),
        (
            {"images": [{"id": k, "file_name": f"{k}/a.png", "height": 8, "width": 6} for k in (1, 2)]},
            "two images called a",
        ),
        ({"images": [{"id": 5, "file_name": k, "height": 8, "width": 6} for k in "ab"]}, "the id 5 to two images"),
        ({"images": []}, "of an image that it does not list"),
        ({"annotations": [7]}, "of an image that it does not list"),
    ],
)
def test_files_that_are_none_of_cocos_are_refused(tmp_path: Path, other: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        CocoFile(coco(tmp_path, POLYGON, **other))
    (tmp_path / "no.json").write_text("{")
    with pytest.raises(DataError, match=r"no\.json cannot be read as JSON"):
        CocoFile(tmp_path / "no.json")


def test_what_is_written_cocos_own_api_reads(tmp_path: Path) -> None:
    objects = ObjectMasks(31, 31, cross().regions, crowds=(False, True))
    path = tmp_path / "all.json"
    write_coco(path, {"a.png": objects, "b.png": ObjectMasks(4, 5, ())}, "worm")
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(str(path))
    found = read.loadAnns(read.getAnnIds(imgIds=[1]))
    assert [int(read.annToMask(each).sum()) for each in found] == [81, 81]
    assert [(each["iscrowd"], each["area"], each["num_keypoints"]) for each in found] == [(0, 81, 16), (1, 81, 16)]
    assert found[0]["bbox"] == [2, 14, 27, 3]
    x, y = np.array(found[0]["keypoints"]).reshape(16, 3)[:, :2].T
    assert (abs(y - 15) <= 1.5).all()  # a skeleton may end in a corner
    assert abs(x[-1] - x[0]) == pytest.approx(26, abs=2)
    (category,) = read.loadCats(read.getCatIds())
    assert (category["name"], len(category["keypoints"]), len(category["skeleton"])) == ("worm", 16, 15)
    ours = CocoFile(path)
    assert (ours.objects("a").stack() == objects.stack()).all()
    assert (ours.objects("a").crowds, len(ours.objects("b"))) == ((False, True), 0)


# Folders


def folder(root: Path) -> tuple[Pairs, DataConfig, list[Entry]]:
    settings = resolve("data=folder").data
    image, label_map = np.zeros((31, 31, 1), np.uint8), (cross().depth() > 0).astype(np.uint8)
    entries = [Entry("a", "s", "g", -1, 31, 31)]
    return Pairs((image,), (label_map,), 2), DataConfig(**{**vars(settings), "root": str(root)}), entries


def write_kind(root: Path, kind: str) -> None:
    objects = cross()
    (root / "instances").mkdir()
    if kind == "one file":
        (root / "instances").rmdir()
        write_coco(root / "instances.json", {"a.tif": objects}, "bar")
    elif kind == "a file each":
        write_coco(root / "instances/a.json", {"a.png": objects}, "bar")
    elif kind == "masks":
        (root / "instances/a").mkdir()
        for number, mask in enumerate(objects.stack()):
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / f"instances/a/{number}.png")
    else:
        Image.fromarray(objects.numbers().astype(np.uint16)).save(root / "instances/a.png")


@pytest.mark.parametrize("kind", ["one file", "a file each", "masks", "numbers"])
def test_objects_of_a_folder_are_found_however_they_are_kept(tmp_path: Path, kind: str) -> None:
    pairs, config, entries = folder(tmp_path)
    assert with_objects(pairs, config, entries) is pairs
    write_kind(tmp_path, kind)
    found = with_objects(pairs, config, entries).objects
    assert found is not None
    assert [each.area for each in found[0].regions] == ([72, 81] if kind == "numbers" else [81, 81])
    assert whole_objects(tmp_path) is (kind != "numbers")
    # metrics of numbered objects have them, too, cut where they cross
    numbered = with_instances(pairs, config, entries).instances
    assert numbered is not None
    assert np.bincount(numbered[0].ravel()).tolist()[1:] == [72, 81]


def test_objects_that_are_missing_doubled_or_of_another_size(tmp_path: Path) -> None:
    pairs, config, entries = folder(tmp_path)
    write_kind(tmp_path, "a file each")
    with pytest.raises(DataError, match="lacks the objects of b, and of 1 of 2 pairs"):
        KeptObjects(tmp_path).read(["a", "b"])
    (tmp_path / "instances/a.json").rename(tmp_path / "instances/b.json")
    with pytest.raises(DataError, match=r"b\.json lists the images a, and b alone is wanted"):
        KeptObjects(tmp_path).read(["b"])
    write_coco(tmp_path / "instances.json", {"a.png": cross(21)}, "bar")
    with pytest.raises(DataError, match=r"in instances\.json and in instances/: remove one"):
        with_objects(pairs, config, entries)
    (tmp_path / "instances/b.json").unlink()
    (tmp_path / "instances").rmdir()
    with pytest.raises(DataError, match=r"are for 21 x 21 pixels .* its image is 31 x 31"):
        with_objects(pairs, config, entries)


# Lines and class maps


def test_a_centre_line_goes_from_tip_to_tip() -> None:
    bar = cross().regions[0]
    line = centre_line(bar)
    assert line.shape == (16, 2)
    assert length(line) == pytest.approx(26, abs=1.5)
    assert (abs(line[:, 0] - 15) <= 1.5).all()  # a skeleton may end in a corner
    assert np.diff(line[:, 1]).std() < 0.2  # at even distances
    ring = np.hypot(*(np.mgrid[:41, :41] - 20))
    around = centre_line(region_of((ring < 18) & (ring > 13)))  # its skeleton has no end
    assert length(around) == pytest.approx(2 * np.pi * 15.5, rel=0.1)
    assert centre_line(Region(3, 4, np.ones((1, 1), bool))).tolist() == [[3, 4]] * 16


def test_points_of_a_line_are_even() -> None:
    line = np.array([[0.0, 0], [0, 3], [4, 3]])
    assert length(line) == 7
    assert evenly(line, 8)[[0, 3, 5, 7]].tolist() == [[0, 0], [0, 3], [2, 3], [4, 3]]


def test_a_class_map_tells_crossings_and_lines() -> None:
    drawn = class_map(cross())
    assert drawn.dtype == np.uint8
    assert set(np.unique(drawn)) == {GROUND, BODY, CROSSING, LINE}
    assert (drawn[14:17, 14:17] == CROSSING).all()
    assert (drawn == CROSSING).sum() == 9 + 4 * 3  # and the pixels of the bars beside
    assert ((drawn > 0) == (cross().depth() > 0)).all()
    # each arm has its line on both sides of the crossing, and some body beside it
    for arm in (drawn[13:18, 3:12], drawn[13:18, 19:28]):
        assert (arm == LINE).any(0).all()
        assert (arm == BODY).any(0).all()
    crowd = ObjectMasks(31, 31, cross().regions[:1], crowds=(True,))
    assert set(np.unique(class_map(crowd))) == {GROUND, BODY}


@pytest.mark.parametrize("kind", ["one file", "a file each", "masks"])
def test_objects_that_lie_elsewhere_than_the_mask_are_refused_and_named(tmp_path: Path, kind: str) -> None:
    pairs, config, entries = folder(tmp_path)
    write_kind(tmp_path, kind)
    shifted = r"objects of a in .* does not fit its mask, as if it was shifted: .* 2 pixels down"
    for down in (2, 1):
        moved = replace(pairs, label_maps=(np.roll(pairs.label_maps[0], down, 0),))
        if down == 1:  # programs draw outlines so differently
            assert with_objects(moved, config, entries).objects is not None
            continue
        for read in (with_objects, with_instances):
            with pytest.raises(DataError, match=shifted):
                read(moved, config, entries)
        # without masks there is nothing to fit
        assert with_objects(replace(moved, classes=1), config, entries).objects is not None
        assert with_objects(moved, replace(config, condition="class"), entries).objects is not None


def test_a_crowd_stands_for_many_and_need_not_be_drawn(tmp_path: Path) -> None:
    pairs, config, entries = folder(tmp_path)
    whole = Region(0, 0, np.ones((31, 31), bool))
    crossed = cross()
    crowded = ObjectMasks(31, 31, (*crossed.regions, whole), (False, False, True))
    write_coco(tmp_path / "instances.json", {"a.png": crowded}, "bar")
    found = with_objects(pairs, config, entries).objects
    assert found is not None
    assert found[0].crowds == (False, False, True)


def test_an_annotation_file_is_opened_once_for_all_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = cross()
    for number in range(4):
        for kind, pixels in (("images", bars.depth()), ("masks", (bars.depth() > 0) * 255)):
            write_image(pixels.astype(np.uint8), tmp_path / kind, f"p{number}")
    write_coco(tmp_path / "instances.json", {f"p{number}.png": bars for number in range(3)}, "bar")
    opened: list[Path] = []
    monkeypatch.setattr(object_files, "CocoFile", lambda path: opened.append(path) or CocoFile(path))
    settings = resolve("data=folder data.channels=1 data.image_size=8 data.name_pattern=null").data
    found = check_data(replace(settings, root=str(tmp_path), test_fraction=0.25))
    assert opened == [tmp_path / "instances.json"]
    assert "6 objects in 3 pairs" in " ".join(found.notes)


def test_masks_of_objects_that_are_kept_only_nearly_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "instances/a"
    folder.mkdir(parents=True)
    Image.fromarray(cross().stack()[0].astype(np.uint8) * 255).save(folder / "0.jpg")
    with pytest.raises(DataError, match=r"0\.jpg keeps the mask of an object as JPEG, .*: save it as PNG"):
        KeptObjects(tmp_path).read(["a"])
    (folder / "0.jpg").unlink()
    with pytest.raises(DataError, match=r"instances/a holds no mask: .* no object .* instances\.json"):
        KeptObjects(tmp_path).read(["a"])
