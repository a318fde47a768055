"""``data.masks``: what the values of masks say, and what is refused or named where nothing says it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.config import DataConfig
from flower_dgan.data import open_source, read_foreign_label_maps, read_label_maps
from flower_dgan.data.border_ids import border_ids
from flower_dgan.data.check import check_data
from flower_dgan.data.instances import with_instances
from flower_dgan.data.mask_values import mask_values
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve

SIDE = 32


def squares(*ids: int, background: int = 0) -> np.ndarray:
    """Return a mask of 32 x 32 with a square of 6 x 6 for each id, from the top left, 4 a row."""
    mask = np.full((SIDE, SIDE), background, np.uint8 if max((*ids, background)) < 256 else np.uint16)
    for index, value in enumerate(ids):
        row, column = divmod(index, 4)
        mask[8 * row : 8 * row + 6, 8 * column : 8 * column + 6] = value
    return mask


def write(root: Path, masks: dict[str, np.ndarray], suffix: str = ".png", **options: object) -> Path:
    """Write pairs whose image shows its mask, and noise of its own."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for number, (name, mask) in enumerate(masks.items()):
        noise = np.random.default_rng(number).integers(0, 99, (*mask.shape, 3), dtype=np.uint8)
        Image.fromarray(noise + (mask > 0)[..., None] * np.uint8(100)).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}{suffix}", **options)
    return root


def settings(root: Path, overrides: str = "") -> DataConfig:
    return replace(resolve(f"data=folder data.image_size=16 data.name_pattern=null {overrides}").data, root=str(root))


def label_maps(config: DataConfig) -> dict[str, np.ndarray]:
    source = open_source(config)
    entries = [*source.train, *source.test]
    return {entry.name: m for entry, m in zip(entries, source.load(entries).label_maps, strict=True)}


NUMBERED = {"a": squares(*range(1, 13)), "b": squares(*range(1, 8))}


def test_numbered_objects_are_refused_until_somebody_says_what_they_are(tmp_path: Path) -> None:
    root = write(tmp_path, NUMBERED)
    with pytest.raises(DataError, match=r"set data\.masks=objects, .* If they are classes: set data\.classes=13\."):
        open_source(settings(root))
    (problem,) = check_data(settings(root)).problems
    assert "look as if their values number objects" in problem
    read = label_maps(settings(root, "data.masks=objects"))
    assert {name: int(mask.sum()) for name, mask in read.items()} == {"a": 12 * 36, "b": 7 * 36}
    assert all(set(np.unique(mask)) == {0, 1} for mask in read.values())
    for said in ("data.masks=classes", "data.classes=13"):
        source = open_source(settings(root, said))
        assert source.classes == 13
        assert label_maps(settings(root, said))["a"].max() == 12


@pytest.mark.parametrize(
    "masks",
    [
        {"a": squares(1, 2, 3), "b": squares(1, 2)},  # few
        {"a": squares(7, 20, 31, 60), "b": squares(3, 9)},  # numbered over all tiles of a picture
        {"a": squares(1, 2, 3), "b": squares(1, 2), "c": squares()},  # and a tile without any
    ],
)
def test_other_numberings_are_open_too(tmp_path: Path, masks: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match="look as if their values number objects"):
        open_source(settings(write(tmp_path, masks)))


@pytest.mark.parametrize(
    ("masks", "classes"),
    [
        ({"a": squares(255, 255), "b": squares(255)}, 2),
        ({"a": squares(1, 1), "b": squares(1)}, 2),
        ({"a": squares(1, 2, 1, 2), "b": squares(2, 2, 1)}, 3),  # classes of many pieces
        ({"a": squares(1, 1), "b": squares(2, 2)}, 3),  # one object's class an image
        ({"a": squares(3), "b": squares(1)}, 4),
    ],
)
def test_what_can_be_read_in_one_way_only_is_read(tmp_path: Path, masks: dict[str, np.ndarray], classes: int) -> None:
    config = settings(write(tmp_path, masks))
    assert open_source(config).classes == classes
    assert check_data(config).problems == ()


def test_more_objects_than_classes_can_be(tmp_path: Path) -> None:
    masks = {"a": squares(1, 300, 70), "b": squares(1, 2)}
    root = write(tmp_path, masks)
    with pytest.raises(DataError, match=r"a\.png holds the values 0, 1, 70, 300: .* set data\.masks=objects"):
        open_source(settings(root))
    config = settings(root, "data.masks=objects")
    read = label_maps(config)
    assert {name: int(mask.sum()) for name, mask in read.items()} == {"a": 3 * 36, "b": 2 * 36}
    source = open_source(config)
    numbered = with_instances(source.load(source.test), config, source.test).instances
    assert numbered is not None
    (entry,) = source.test
    assert (numbered[0] == masks[entry.name]).all()


@pytest.mark.parametrize(
    ("said", "mask", "words"),
    [
        ("binary", squares(1, 2), r"holds the values 0, 1, 2, and with data\.masks=binary"),
        ("binary", squares(128), r"holds the values 0, 128, and with data\.masks=binary"),
        ("binary", squares(1, 255), r"holds the values 0, 1, 255, and with data\.masks=binary"),
        ("classes", squares(64), r"holds the values 0, 64: masks hold either"),
    ],
)
def test_masks_of_another_kind_than_is_said(tmp_path: Path, said: str, mask: np.ndarray, words: str) -> None:
    config = settings(write(tmp_path, {"a": mask, "b": mask}), f"data.masks={said}")
    with pytest.raises(DataError, match=words):
        open_source(config)
    assert any("data.masks" in problem or "masks hold" in problem for problem in check_data(config).problems)


@pytest.mark.parametrize("said", ["classes", "binary", "objects"])
def test_foreground_is_foreground_whatever_is_said(tmp_path: Path, said: str) -> None:
    """A run writes the masks of two classes as 0 and 255, whatever those of its data are."""
    config = settings(write(tmp_path, {"a": squares(255, 255), "b": squares(255, 255, 255)}), f"data.masks={said}")
    assert open_source(config).classes == 2
    assert {name: int(mask.sum()) for name, mask in label_maps(config).items()} == {"a": 72, "b": 108}
    # but these are no numbers of objects, where these are wanted
    assert ["are one connected piece" in problem for problem in check_data(config).problems] == [True] * (
        said == "objects"
    )


def test_objects_and_foreground_are_one_class() -> None:
    for said in ("objects", "binary"):
        with pytest.raises(ConfigError, match=f"data.masks={said} has two classes"):
            resolve(f"data=folder data.classes=3 data.masks={said}")
        assert resolve(f"data=folder data.classes=2 data.masks={said}").data.masks == said
    with pytest.raises(ConfigError, match=r"Unknown data\.masks 'numbers'"):
        resolve("data.masks=numbers")


def test_the_server_s_own_label_maps_are_held_to_it(tmp_path: Path) -> None:
    root = write(tmp_path, NUMBERED)
    config = replace(settings(root), label_maps=str(root / "masks"))
    with pytest.raises(DataError, match=r"set data\.masks=objects"):
        read_foreign_label_maps(config)
    problems = check_data(
        replace(config, root=str(write(tmp_path / "own", {"a": squares(255), "b": squares(255)})))
    ).problems
    assert [problem.partition(" and ")[0] for problem in problems] == [f"{root}/masks/a.png"]
    found = read_foreign_label_maps(replace(config, masks="objects"))
    assert found is not None
    assert (found.classes, found.binary, sorted(int(each.sum()) for each in found.maps)) == (2, True, [7 * 36, 12 * 36])
    assert read_label_maps(root / "masks", 16, decided=True).classes == 13


def test_a_prepared_data_set_says_what_its_ids_are(tmp_path: Path) -> None:
    root = write(tmp_path, NUMBERED)
    (root / "prepared.json").write_text('{"dataset": "brats"}')
    assert open_source(settings(root)).classes == 13
    for other in ('{"dataset": "folder"}', "[]", "{"):
        (root / "prepared.json").write_text(other)
        with pytest.raises(DataError, match="number objects"):
            open_source(settings(root))


# Files that do not keep values


@pytest.mark.parametrize("said", ["", "data.classes=3", "data.masks=classes", "data.masks=objects"])
@pytest.mark.parametrize(
    ("suffix", "options", "kind"),
    [
        (".jpg", {"quality": 75}, "JPEG"),
        (".jpg", {"quality": 30}, "JPEG"),
        (".tif", {"compression": "jpeg", "quality": 75}, "TIFF with JPEG inside"),
        (".png", {"format": "JPEG", "quality": 75}, "JPEG"),
    ],
)
def test_ids_from_lossy_files_are_refused(
    tmp_path: Path, said: str, suffix: str, options: dict[str, object], kind: str
) -> None:
    masks = {"a": squares(1, 2, 1, 2, 1), "b": squares(2, 1)}
    root = write(tmp_path, masks, suffix, **options)
    with pytest.raises(DataError, match=f"as {kind}, which invents values"):
        open_source(settings(root, said))
    assert "which invents values" in check_data(settings(root, said)).problems[0]


def test_foreground_from_jpeg_is_named(tmp_path: Path) -> None:
    """Blocks of eight pixels survive JPEG of the best quality, and those of this mask are 0 and 255."""
    mask = np.kron(np.eye(4, dtype=np.uint8), np.full((8, 8), 255, np.uint8))
    root = write(tmp_path, {"a": mask, "b": mask}, ".jpg", quality=100)
    found = check_data(settings(root))
    assert found.problems == ()
    assert any(
        "masks/a.jpg and 1 more of 2 masks are from a file that keeps values only nearly" in n for n in found.notes
    )


# Masks of one value


def test_masks_that_are_empty_or_full_are_named(tmp_path: Path) -> None:
    masks = {"a": squares(255), "b": squares(), "c": squares(), "d": np.full((SIDE, SIDE), 255, np.uint8)}
    found = check_data(settings(write(tmp_path, masks)))
    assert found.problems == ()
    assert [note.removeprefix(f"{tmp_path}/masks/") for note in found.notes] == [
        "b.png and 1 more of 4 masks are empty throughout: all background.",
        "d.png is full throughout: no background.",
    ]


@pytest.mark.parametrize("value", [0, 255, 3])
def test_a_folder_of_one_value_throughout_is_a_problem_unless_others_have_more(tmp_path: Path, value: int) -> None:
    blank = np.full((SIDE, SIDE), value, np.uint8)
    root = write(tmp_path, {"a": blank, "b": blank})
    (problem,) = check_data(settings(root)).problems
    assert problem.startswith(f"All 2 masks, such as {root}/masks/a.png, hold the value {value} throughout")
    assert check_data(settings(root, f"data.classes={4 if value == 3 else 2}")).problems == ()
    assert check_data(settings(root, "data.condition=none downstream=none")).problems == ()


# Ids that a resize invents


@pytest.mark.parametrize(
    ("factor", "resample"),
    [(2, Image.Resampling.BILINEAR), (4, Image.Resampling.BICUBIC), (0.5, Image.Resampling.LANCZOS)],
)
def test_ids_between_two_others_are_named(tmp_path: Path, factor: float, resample: Image.Resampling) -> None:
    """Squares of class 2 and no pixel of class 1, until somebody resizes."""
    blocks = np.zeros((64, 64), np.uint8)
    for top, left in ((4, 4), (4, 40), (40, 8), (36, 36)):
        blocks[top : top + 21, left : left + 19] = 2
    side = int(64 * factor)
    smooth = np.asarray(Image.fromarray(blocks).resize((side, side), resample))
    assert 1 in smooth
    masks = {"a": smooth, "b": np.rot90(smooth).copy()}
    root = write(tmp_path, masks)
    with pytest.raises(DataError, match=r"a\.png and 1 more hold class 1 only as a border"):
        open_source(settings(root))
    (note,) = [note for note in check_data(settings(root, "data.classes=3")).notes if "border" in note]
    assert "a.png and 1 more hold class 1 only as a border between a lower and a higher id" in note
    whole = {name: np.asarray(Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST)) for name in "ab"}
    assert open_source(settings(write(tmp_path, whole))).classes == 3


def test_a_class_that_is_wide_anywhere_is_no_border(tmp_path: Path) -> None:
    """A ring of 1 around a core of 2, as of a tumour: three pixels wide, and six in another image."""
    values = {}
    for name, width in (("thin", 3), ("wide", 6)):
        mask = np.zeros((40, 40), np.uint8)
        mask[8:32, 8:32] = 1
        mask[8 + width : 32 - width, 8 + width : 32 - width] = 2
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
        values[tmp_path / f"{name}.png"] = mask_values(tmp_path / f"{name}.png")
    assert border_ids(values) == {}
    thin = {path: counts for path, counts in values.items() if path.stem == "thin"}
    assert border_ids(thin) == {1: [tmp_path / "thin.png"]}


def test_prepare_asks_too_and_says_it_to_the_run(tmp_path: Path) -> None:
    root = write(tmp_path / "in", NUMBERED)
    arguments = ["data", "prepare", "folder", str(root)]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")])
    assert isinstance(done.exception, DataError)
    assert "If they do: --masks objects" in str(done.exception)
    for said, classes in (("classes", 13), ("objects", 2)):
        assert CliRunner().invoke(app, [*arguments, str(tmp_path / said), "--masks", said]).exit_code == 0
        config = settings(tmp_path / said)
        assert open_source(config).classes == classes
        assert check_data(config).problems == ()
    assert (tmp_path / "objects/instances/a.png").is_file()
    done = CliRunner().invoke(app, ["data", "prepare", "whu", str(root), str(tmp_path / "w"), "--masks", "binary"])
    assert "--masks is for bbbc010, folder, not for whu" in str(done.exception)


def test_noise_has_no_borders(tmp_path: Path) -> None:
    """Each id lies between others there, and all are as thin."""
    rng = np.random.default_rng(0)
    masks = {name: rng.integers(0, 4, (SIDE, SIDE), dtype=np.uint8) for name in "ab"}
    masks["a"][:8] = 0  # a wide lower one alone makes none
    config = settings(write(tmp_path, masks))
    assert open_source(config).classes == 4
    assert [note for note in check_data(config).notes if "border" in note] == []


def test_edit_masks_asks_too(tmp_path: Path) -> None:
    root = write(tmp_path / "in", NUMBERED)
    arguments = ["data", "edit-masks", str(root / "masks"), str(tmp_path / "out"), "--count", "2"]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, DataError)
    assert "If they do: --masks objects" in str(done.exception)
    assert "If they are classes: --masks classes." in str(done.exception)
    assert CliRunner().invoke(app, [*arguments, "--masks", "objects"]).exit_code == 0
    for path in (tmp_path / "out").iterdir():
        assert set(np.unique(np.asarray(Image.open(path)))) == {0, 255}
