"""``flower-dgan data check``: what is counted, and that every problem is named."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import open_source, read_label_maps
from flower_dgan.data.check import check_data
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve
from tests.idx import write_part
from tests.pairs import make_folder


def _check(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", "check", *map(str, arguments)], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_counts_sizes_classes_and_a_picture(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "some {data}, = [x]", sites=2, images=3)
    # 2 sites x (3 + 2) pairs of 64 x 64; half of one mask's pixels become foreground, all others' none
    for path in (root / "masks").iterdir():
        mask = np.zeros((64, 64), np.uint8)
        mask[:32] = 255 * (path.stem == "tr_site0_tr0_0")
        Image.fromarray(mask).save(path)
    found = check_data(replace(resolve("data=folder").data, root=str(root)))
    assert [len(found.train), len(found.test), found.sizes, found.problems] == [6, 4, {(64, 64): 10}, ()]
    assert found.class_pixels == {0: 10 * 4096 - 2048, 1: 2048}
    assert len(found.examples) == 4
    code, output = _check(root, "--picture", tmp_path / "check.png")
    assert code == 0
    for words in ("site1", "64 x 64", "5.00%", "Problems: 0"):
        assert words in output
    with Image.open(tmp_path / "check.png") as picture:
        assert picture.size == (1200, 900)


def test_what_is_held_out_for_validation_fills_no_batch(tmp_path: Path) -> None:
    """Two sites of three groups, of which a third is held out: two images of each are left."""
    config = resolve("data=folder partition=site")
    data = replace(config.data, root=str(make_folder(tmp_path, sites=2, images=3)))
    for fraction, expected in ((0.0, 0), (0.34, 2)):
        notes = check_data(data, partition=config.partition, batch_size=3, validation_fraction=fraction).notes
        told = [note for note in notes if "fewer than a batch of 3" in note]
        assert len(told) == expected
        assert all("has 2 training images beside 1 held out by selection.validation_fraction" in each for each in told)


def test_every_problem_is_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=2, images=5)
    images, masks = root / "images", root / "masks"
    (masks / "tr_site0_tr0_0.png").unlink()
    (images / "te_site0_te0_0.png").unlink()
    Image.new("L", (64, 80)).save(masks / "tr_site0_tr1_0.png")
    Image.fromarray(np.full((64, 64), 4000, np.uint16)).save(images / "tr_site0_tr2_0.png")
    whole = (images / "tr_site0_tr3_0.png").read_bytes()
    (images / "tr_site0_tr3_0.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(masks / "tr_site0_tr4_0.png")
    # two things are wrong with one pair
    Image.new("CMYK", (64, 64)).save(images / "tr_site1_tr0_0.jpg")
    (images / "tr_site1_tr0_0.png").unlink()
    Image.new("RGB", (64, 64)).save(masks / "tr_site1_tr0_0.png")
    Image.new("RGB", (64, 64)).save(images / "tr_site1_tr1_0.jpg")
    (images / "te_site1_te0_0.gif").write_bytes(b"")
    code, output = _check(root)
    assert code == 1
    for words in (
        "images/tr_site0_tr0_0.png has no mask",
        "masks/te_site0_te0_0.png has no image",
        "tr_site0_tr1_0.png is 64 x 64 pixels (height x width) but",
        "images/tr_site0_tr2_0.png has 16 bits a channel",
        "images/tr_site0_tr3_0.png cannot be read",
        "masks/tr_site0_tr4_0.png holds the values 0, 1, 2, 3, 4, 5, 6, 7, ... 255 (256 values)",
        "images/tr_site1_tr0_0.jpg has mode CMYK",
        "masks/tr_site1_tr0_0.png has mode RGB",
        "holds both tr_site1_tr1_0.jpg and tr_site1_tr1_0.png",
        f"No run reads {images}/te_site1_te0_0.gif: save as PNG",
        "Problems: 10",
    ):
        assert words in output
    # what is sound is counted all the same: 12 pairs of stems, five of them spoilt
    found = check_data(resolve(f"data=folder data.root='{root}'").data)
    assert len(found.train) + len(found.test) == sum(found.sizes.values()) == 7


def test_pictures_that_no_run_reads_are_counted(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=3)
    for number in range(2):
        Image.new("RGB", (64, 64)).save(root / "images" / f"tr_site0_b{number}_0.BMP")
        Image.new("L", (64, 64)).save(root / "masks" / f"tr_site0_b{number}_0.bmp")
    (root / "images" / "notes.txt").write_text("no picture")
    found = check_data(resolve(f"data=folder data.root='{root}'").data)
    assert len(found.train) == 3
    assert [problem.split(": ")[0] for problem in found.problems] == [
        f"No run reads {root}/images/tr_site0_b0_0.BMP nor 1 more of other formats there",
        f"No run reads {root}/masks/tr_site0_b0_0.bmp nor 1 more of other formats there",
    ]


def test_names_that_do_not_match_leave_the_rest_to_be_seen(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=1)
    for folder in ("images", "masks"):
        (root / folder / "tr_site0_tr0_0.png").rename(root / folder / "odd.png")
    code, output = _check(root)
    assert code == 1
    assert "'odd' does not match" in output
    assert "64 x 64" in output


def test_other_sources(tmp_path: Path) -> None:
    write_part(tmp_path, "train", list(range(10)), ".gz")
    write_part(tmp_path, "t10k", list(range(10)), ".gz")
    code, output = _check(tmp_path, "data=mnist")
    assert code == 0
    assert "28 x 28" in output
    with pytest.raises(DataError, match="There are no files of mnist"):
        check_data(resolve(f"data=mnist data.root='{tmp_path / 'none'}'").data)


def _rename(root: Path, name: str, new: bytes, folders: tuple[str, ...] = ("images", "masks")) -> None:
    for folder in folders:
        try:
            (root / folder / name).rename(os.fsdecode(os.fsencode(root / folder) + b"/" + new))
        except OSError:
            pytest.skip("the file system takes no such names")


@pytest.mark.parametrize(
    ("new", "shown"),
    [
        ("tr_Zürich_tr0_0.png".encode("latin-1"), r"tr_Z\udcfcrich_tr0_0.png"),
        (b"tr_site0_\x1b[2J_0.png", r"tr_site0_\x1b[2J_0.png"),
        ("tr_site0_\u202e_0.png".encode(), r"tr_site0_\u202e_0.png"),
    ],
)
def test_names_of_files_that_cannot_be_shown(tmp_path: Path, new: bytes, shown: str) -> None:
    """A folder from a system with another encoding; a run refuses it in one line, as it does every other problem."""
    root = make_folder(tmp_path / "data", sites=2, images=3)
    _rename(root, "tr_site0_tr0_0.png", new)
    code, output = _check(root)
    assert code == 1
    for folder in ("images", "masks"):
        assert f"{folder} holds '{shown}'" in output.replace("\n", "")
    assert "Problems: 2" in output
    with pytest.raises(DataError, match="whose name is no UTF-8 or has control characters") as caught:
        open_source(resolve(f"data=folder data.root='{root}'").data)
    assert str(caught.value).replace("\n", "").isprintable()
    with pytest.raises(DataError, match="whose name is no UTF-8"):
        read_label_maps(root / "masks", 16)


def test_names_with_accents_are_those_that_look_the_same(tmp_path: Path) -> None:
    """macOS writes a letter and its accent, others one character: image, mask, instances and site all agree."""
    root = make_folder(tmp_path / "data", sites=2, images=3)
    composed, decomposed = "tr_K\u00f6ln_{}_0.png", "tr_Ko\u0308ln_{}_0.png"
    _rename(root, "tr_site0_tr0_0.png", composed.format("a").encode(), ("images",))
    _rename(root, "tr_site0_tr0_0.png", decomposed.format("a").encode(), ("masks",))
    _rename(root, "tr_site1_tr0_0.png", decomposed.format("b").encode())
    settings = replace(resolve("data=folder data.image_size=16").data, root=str(root))
    found = check_data(settings)
    assert found.problems == ()
    source = open_source(settings)
    ours = [entry for entry in source.train if entry.group in "ab"]
    assert [(entry.name, entry.site) for entry in ours] == [(f"tr_K\u00f6ln_{x}_0", "K\u00f6ln") for x in "ab"]
    assert len(source.load(ours)) == 2
    assert len(read_label_maps(root / "masks", 16).maps) == len(list((root / "masks").iterdir()))
    twin = root / "images" / decomposed.format("a")
    twin.write_bytes((root / "images" / composed.format("a")).read_bytes())
    (problem,) = check_data(settings).problems
    assert "holds both" in problem
    assert "They look the same, but a letter with its accent" in problem


@pytest.mark.parametrize(("site", "problem"), [("Bonn  2", "has two blanks"), ("Unit 1/2", "has the character '/'")])
def test_a_site_that_can_be_no_client_is_a_problem(tmp_path: Path, site: str, problem: str) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=4)
    names = sorted(path.stem for path in (root / "images").iterdir())
    rows = [f"{name},{name[:2]},{site if number % 2 else 'Bonn'},{name}" for number, name in enumerate(names)]
    (root / "table.csv").write_text("\n".join(["name,split,site,group", *rows]) + "\n")
    code, output = _check(root, "data.name_pattern=null data.table=table.csv")
    assert code == 1
    assert f"'{site}', {problem}" in output
    assert "Problems: 1" in output
