"""Inputs that are sound in their format and would be read wrongly, or end in a riddle: one test for each kind."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.config import DataConfig
from flower_dgan.data import open_source
from flower_dgan.data.check import check_data
from flower_dgan.data.coco_annotations import write_coco
from flower_dgan.data.object_files import KeptObjects
from flower_dgan.data.object_masks import ObjectMasks, of_stack
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.node.own_data import own_data
from flower_dgan.resolve import resolve

GREY = np.random.default_rng(0).integers(16, 256, (24, 24), dtype=np.uint8)


def mask() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    drawn = np.zeros((24, 24), np.uint8)
    drawn[4:12, 5:14] = 255
    return drawn


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for kind in ("images", "masks"):
        (tmp_path / "in" / kind).mkdir(parents=True)
    for number in range(4):
        Image.fromarray(GREY ^ np.uint8(number)).save(tmp_path / f"in/images/p{number}.png")
        Image.fromarray(mask()).save(tmp_path / f"in/masks/p{number}.png")
    return tmp_path / "in"


def config(root: Path, **changes: object) -> DataConfig:
    settings = resolve("data=folder data.channels=1 data.image_size=8 data.name_pattern=null").data
    return replace(settings, root=str(root), **changes)  # type: ignore[arg-type]


# Images


def test_twelve_bits_in_sixteen_come_out_dark_and_are_counted(root: Path, tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(GREY.astype(np.uint16) * 16).save(root / f"images/p{number}.png")
    Image.fromarray(GREY.astype(np.uint16) * 257).save(root / "images/p2.png")
    done = CliRunner().invoke(app, ["data", "prepare", "folder", str(root), str(tmp_path / "out"), "--tile", "12"])
    assert "2 images came out nearly black" in " ".join(done.output.split())
    assert json.loads((tmp_path / "out/prepared.json").read_text())["dark"] == 2
    scaled = prepare("folder", root, tmp_path / "scaled", PrepareSettings(value_range=(0, 4080)))
    assert scaled.dark == 0
    assert np.array(Image.open(tmp_path / "scaled/images/p0.png")).tolist() == GREY.tolist()


# Tables


def test_columns_that_a_spreadsheet_left_empty_are_none(root: Path) -> None:
    (root / "t.csv").write_text("name;site;;\n" + "".join(f"p{n};s{n % 2};;\n" for n in range(4)) + ";;;\n")
    found = open_source(config(root, table="t.csv"))
    assert {entry.name: entry.site for entry in (*found.train, *found.test)} == {f"p{n}": f"s{n % 2}" for n in range(4)}
    (root / "t.csv").write_text("name,site,\n" + "".join(f"p{n},s,{'x' * (n == 3)}\n" for n in range(4)))
    with pytest.raises(DataError, match="Unknown column ''"):
        open_source(config(root, table="t.csv"))


def test_rows_of_images_that_are_not_there_are_named(root: Path) -> None:
    (root / "t.csv").write_text("name,site\n" + "".join(f"p{n},s\n" for n in range(6)))
    found = check_data(config(root, table="t.csv"))
    assert found.problems == ()
    assert any("rows for p4, p5, of which there is no image" in note for note in found.notes)


@pytest.mark.parametrize(("first", "second"), [("Bonn", "bonn"), ("A1", "\uff211"), ("Straße", "STRASSE")])
def test_sites_that_are_one_in_two_ways_of_writing_are_named(root: Path, first: str, second: str) -> None:
    (root / "t.csv").write_text("name,site\n" + "".join(f"p{n},{(first, second)[n % 2]}\n" for n in range(4)), "utf-8")
    notes = " ".join(check_data(config(root, table="t.csv")).notes)
    assert all(f"'{site}'" in notes.partition("differ in how they are written alone")[0] for site in (first, second))
    (root / "t.csv").write_text("name,site\n" + "".join(f"p{n},{first}\n" for n in range(4)), "utf-8")
    assert "written" not in " ".join(check_data(config(root, table="t.csv")).notes)


def test_patients_on_both_sides_in_two_ways_of_writing_are_named(root: Path) -> None:
    (root / "t.csv").write_text("name,group,split\np0,K1,tr\np1,k2,tr\np2,k1,te\np3,k3,te\n")
    notes = " ".join(check_data(config(root, table="t.csv")).notes)
    assert "'K1' is in training and 'k1' in the test" in notes
    assert "k2" not in notes


# Data sets


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5000])
def test_a_run_length_of_thousands_of_digits_is_none(number: str, tmp_path: Path) -> None:
    (tmp_path / "in/train_v2").mkdir(parents=True)
    Image.fromarray(GREY).convert("RGB").save(tmp_path / "in/train_v2/a.jpg")
    (tmp_path / "in/train_ship_segmentations_v2.csv").write_text(f"ImageId,EncodedPixels\na.jpg,1 {number}\n")
    with pytest.raises(DataError, match="is no list of run starts and lengths"):
        prepare("ships", tmp_path / "in", tmp_path / "out", PrepareSettings())


def pets(root: Path) -> Path:
    base = root / "oxford-iiit-pet"
    for folder in ("images", "annotations/trimaps"):
        (base / folder).mkdir(parents=True)
    for name in ("Abyssinian_1", "boxer_1"):
        Image.fromarray(GREY).convert("RGB").save(base / f"images/{name}.jpg")
        Image.fromarray(mask() // 255 + np.uint8(1)).save(base / f"annotations/trimaps/{name}.png")
    (base / "annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\n\n")
    (base / "annotations/test.txt").write_text("\nboxer_1 2 2 1\n")
    return base


def test_a_list_may_have_empty_lines_and_no_image_twice(tmp_path: Path) -> None:
    base = pets(tmp_path / "in")
    prepare("pets", tmp_path / "in", tmp_path / "out", PrepareSettings())
    assert sorted(path.name[:2] for path in (tmp_path / "out/images").iterdir()) == ["te", "tr"]
    (base / "annotations/test.txt").write_text("Abyssinian_1 1 1 1\nboxer_1 2 2 1\n")
    with pytest.raises(DataError, match=r"images/Abyssinian_1\.jpg is listed twice in .*: leave it in one list"):
        prepare("pets", tmp_path / "in", tmp_path / "twice", PrepareSettings())


def spoil_affine(folder: Path, volume: np.ndarray) -> None:  # type: ignore[type-arg]
    affine = np.eye(4)
    affine[0, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(volume, affine), folder / f"{folder.name}_t2.nii.gz")


def make_complex(folder: Path, volume: np.ndarray) -> None:  # type: ignore[type-arg]
    nibabel.save(nibabel.Nifti1Image(volume.astype(np.complex64), np.eye(4)), folder / f"{folder.name}_t2.nii.gz")


def blank(folder: Path, volume: np.ndarray) -> None:  # type: ignore[type-arg]
    nibabel.save(nibabel.Nifti1Image(volume * 0, np.eye(4)), folder / f"{folder.name}_t2.nii.gz")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_affine, "its affine is not finite"),
        (make_complex, "it holds complex numbers"),
        (blank, "the volume of modality 1 is 0 throughout"),
    ],
)
def test_a_volume_that_says_nothing_is_refused(
    spoil: Callable[[Path, np.ndarray], None],  # type: ignore[type-arg]
    said: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in/HGG/Brats18_CBICA_AAM_1"
    folder.mkdir(parents=True)
    labels = np.zeros((24, 24, 3), np.float32)
    labels[4:12, 4:12, 1] = 4
    volume = np.repeat(GREY[:, :, None], 3, axis=2).astype(np.float32)
    for kind, values in (("t2", volume), ("seg", labels)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{folder.name}_{kind}.nii.gz")
    assert prepare("brats", tmp_path / "in", tmp_path / "sound", PrepareSettings()).pairs == 1
    spoil(folder, volume)
    with pytest.raises(DataError, match=said):
        prepare("brats", tmp_path / "in", tmp_path / "out", PrepareSettings())


def of_mask() -> ObjectMasks:
    return of_stack(np.stack([mask() > 0]))


@pytest.mark.parametrize("kind", ["one file", "a file each", "masks"])
def test_whole_objects_of_a_folder_come_along_or_are_refused(kind: str, root: Path, tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(3)]  # the last has none, which a training pair may
    if kind == "one file":
        write_coco(root / "instances.json", {f"{name}.png": of_mask() for name in names}, "cell")
    for name in names if kind != "one file" else ():
        (root / "instances" / (name if kind == "masks" else "")).mkdir(parents=True, exist_ok=True)
        if kind == "masks":
            Image.fromarray(mask()).save(root / f"instances/{name}/0.png")
        else:
            write_coco(root / f"instances/{name}.json", {f"{name}.png": of_mask()}, "cell")
    assert prepare("folder", root, tmp_path / "out", PrepareSettings()).pairs == 4
    found = KeptObjects(tmp_path / "out")
    assert sorted(found.there) == names
    assert all((each.stack() == of_mask().stack()).all() for each in found.read(names))
    for settings in (PrepareSettings(tile=12), PrepareSettings(size=12), PrepareSettings(instances=True)):
        with pytest.raises(DataError, match=r"keeps each object whole, .* would number or cut them"):
            prepare("folder", root, tmp_path / "cut", settings)
    Image.fromarray(np.roll(mask(), 4, 0)).save(root / "masks/p1.png")
    with pytest.raises(DataError, match=r"objects of p1 .* does not fit its mask, as if it was shifted"):
        prepare("folder", root, tmp_path / "shifted", PrepareSettings())


@pytest.mark.parametrize("what", ["size", "tile", "stride"])
def test_no_side_is_larger_than_what_a_run_reads(what: str) -> None:
    with pytest.raises(ConfigError, match=f"--{what} 32768 must be from 1 to 32,767 pixels"):
        PrepareSettings(**{"tile": 8, what: 32768} if what == "stride" else {what: 32768})  # type: ignore[arg-type]


# Nodes


@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_not_the_folder_that_a_node_was_started_in(path: str) -> None:
    with pytest.raises(ConfigError, match="has an empty data-path"):
        own_data(resolve("data=folder").data, {"data-path": path, "name": "a"})
