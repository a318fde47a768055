"""BBBC010 from both of its layouts, and what a check says of objects that overlap."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import open_source
from flower_dgan.data.check import check_data
from flower_dgan.data.coco_annotations import write_coco
from flower_dgan.data.image_files import read_mask
from flower_dgan.data.object_files import KeptObjects
from flower_dgan.data.object_masks import of_stack
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve

SHAPE = (520, 696)
SPLIT = {"A01": "tr", "C02": "tr", "C13": "te", "E04": "te"}


def bar(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[rows, columns] = True
    return mask


# Two that cross, in the well's own pixels; all lie in rows 40 to 520 and columns 112 to 592.
WORMS = np.stack([bar(slice(140, 150), slice(200, 320)), bar(slice(86, 206), slice(254, 264))])


def download(root: Path, wells: list[str]) -> Path:
    for number, well in enumerate(wells):
        pixels = np.full(SHAPE, 3100, np.uint16)
        pixels[WORMS.any(0)] = 80
        pixels[42:44, 114 + 2 * number : 116 + 2 * number] = 80  # no two wells are equal
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / f"images/1649_1109_0003_Amp5-1_B_20070424_{well}_w2_9E84-{number}.tif")
        Image.fromarray(pixels).save(root / f"images/1649_1109_0003_Amp5-1_B_20070424_{well}_w1_9E84-{number}.tif")
        for index, worm in enumerate(WORMS, start=1):
            Image.fromarray(worm.astype(np.uint8) * 255).save(root / f"masks/{well}_{index:02d}_ground_truth.png")
    return root


def listed(root: Path, wells: list[str]) -> Path:
    (root / "images").mkdir(parents=True)
    for well in wells:
        Image.fromarray(np.where(WORMS.any(0), 0, 255).astype(np.uint8)).save(root / f"images/c_{well}.png")
    write_coco(root / "worms.json", {f"c_{well}.png": of_stack(WORMS) for well in wells}, "worm")
    return root


@pytest.mark.parametrize("layout", [download, listed])
def test_wells_become_class_maps_with_whole_worms(tmp_path: Path, layout: object) -> None:
    root = layout(tmp_path / "in", list(SPLIT))  # type: ignore[operator]
    assert prepare("bbbc010", root, tmp_path / "out", PrepareSettings()).pairs == 4
    names = [f"{split}_{'c01-12' if well < 'C03' else 'c13-24'}_{well}_0" for well, split in SPLIT.items()]
    names = [name.replace("c13-24_E04", "c01-12_E04") for name in names]
    assert sorted(path.stem for path in (tmp_path / "out/images").iterdir()) == sorted(names)
    image, mask = (read_mask(tmp_path / "out" / folder / f"{names[0]}.png") for folder in ("images", "masks"))
    assert image.shape == mask.shape == (240, 240)
    assert set(np.unique(image)) == {0, 255}
    # worms' rows 140 to 149 lie at half their distance from the well's first row
    objects = KeptObjects(tmp_path / "out").read(names)[0]
    assert [(each.top, each.left, each.pixels.shape) for each in objects.regions] == [
        (50, 44, (5, 60)),
        (23, 71, (60, 5)),
    ]
    assert set(np.unique(mask)) == {0, 1, 2, 3}
    assert ((mask > 0) == (objects.depth() > 0)).all()
    config = resolve(f"data=bbbc010 data.root={tmp_path / 'out'}").data
    source = open_source(config)
    assert (source.classes, len(source.train), len(source.test)) == (4, 2, 2)
    assert {entry.site for entry in source.train} == {"c01-12"}
    assert prepare("bbbc010", root, tmp_path / "out", PrepareSettings()).made == 0
    (tmp_path / f"out/instances/{names[0]}.json").write_text("{")
    assert prepare("bbbc010", root, tmp_path / "out", PrepareSettings()).made == 1
    assert prepare("bbbc010", root, tmp_path / "two", PrepareSettings(masks="binary")).pairs == 4
    assert set(np.unique(read_mask(tmp_path / f"two/masks/{names[0]}.png"))) == {0, 255}


def test_layouts_that_are_wrong_are_refused_by_name(tmp_path: Path) -> None:
    root = download(tmp_path / "in", ["A01"])
    for settings in (PrepareSettings(tile=64), PrepareSettings(size=64)):
        with pytest.raises(ConfigError, match="leave --tile and --size out"):
            prepare("bbbc010", root, tmp_path / "out", settings)
    (extra,) = (root / "images").glob("*_w2_*")
    extra.rename(extra.with_name("x_Z99_w2_.tif"))
    with pytest.raises(DataError, match=r"Z99_w2_\.tif names no well such as A01"):
        prepare("bbbc010", root, tmp_path / "out", PrepareSettings())
    extra.with_name("x_Z99_w2_.tif").rename(extra.with_name("x_B02_w2_.tif"))
    with pytest.raises(DataError, match="No masks <well>_<nn>_ground_truth"):
        prepare("bbbc010", root, tmp_path / "out", PrepareSettings())
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="has no well with image and masks"):
        prepare("bbbc010", tmp_path / "none", tmp_path / "out", PrepareSettings())
    small = download(tmp_path / "small", ["A01"])
    for path in (small / "masks").iterdir():
        Image.fromarray(WORMS[0, :500].astype(np.uint8)).save(path)
    with pytest.raises(DataError, match="is not 520 x 696 pixels"):
        prepare("bbbc010", small, tmp_path / "out", PrepareSettings())
    Image.fromarray(WORMS[0].astype(np.uint8)).save(small / "masks/A01_01_ground_truth.png")
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(small / "masks/A01_02_ground_truth.png")
    with pytest.raises(DataError, match="has no worm, or one outside of the well"):
        prepare("bbbc010", small, tmp_path / "new", PrepareSettings())


def test_a_plate_without_masks_becomes_images_to_predict(tmp_path: Path) -> None:
    root = download(tmp_path / "in", ["A01", "C13"])
    prepare("bbbc010", root, tmp_path / "known", PrepareSettings())
    (annotated,) = (tmp_path / "known/instances").glob("tr_*")
    assert json.loads(annotated.read_text())["categories"][0]["name"] == "worm"
    for path in (root / "masks").iterdir():
        path.unlink()
    assert prepare("bbbc010", root, tmp_path / "new", PrepareSettings()).pairs == 2
    assert sorted(path.name for path in (tmp_path / "new").iterdir() if path.is_dir()) == ["images"]
    image = read_mask(tmp_path / "new/images/c01-12_A01_0.png")
    assert (image == read_mask(tmp_path / "known/images/tr_c01-12_A01_0.png")).all()
    Image.fromarray(np.zeros((100, 100), np.uint16)).save(next((root / "images").glob("*A01_w2_*")))
    with pytest.raises(DataError, match="is 100 x 100 pixels; grey images of 520 x 696"):
        prepare("bbbc010", root, tmp_path / "odd", PrepareSettings())


def test_a_range_of_ones_own_is_applied_once(tmp_path: Path) -> None:
    root = download(tmp_path / "in", ["A01"])
    assert prepare("bbbc010", root, tmp_path / "out", PrepareSettings(value_range=(0, 6200))).beyond == 0
    image = read_mask(tmp_path / "out/images/tr_c01-12_A01_0.png")
    assert set(np.unique(image).tolist()) >= {3, 128}


def test_a_check_counts_objects_overlaps_pieces_and_lengths(tmp_path: Path) -> None:
    root = download(tmp_path / "in", list(SPLIT))
    prepare("bbbc010", root, tmp_path / "out", PrepareSettings())
    config = resolve(f"data=bbbc010 data.root={tmp_path / 'out'}").data
    found = check_data(config)
    assert found.problems == ()
    assert found.files["instances"].used == 4
    (note,) = [note for note in found.notes if "objects" in note]
    assert note.startswith("8 objects in 4 pairs, 2 to 2 a pair: 8 (100%) share pixels with another, 0 are in pieces")
    assert "from 59 to 60 pixels long" in note
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path / "out"), "data.channels=1 data.image_size=128"])
    assert "8 objects in 4 pairs" in " ".join(done.output.split())
    (tmp_path / "out/instances/te_c13-24_C13_0.json").write_text("{")
    (problem,) = check_data(config).problems
    assert "te_c13-24_C13_0.json cannot be read as JSON" in problem
