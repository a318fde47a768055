"""``flower-dgan data check`` sees what a training will see: each file, each pair, each node's own settings."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import open_source
from flower_dgan.data.check import DataCheck, check_data
from flower_dgan.data.instances import with_instances
from flower_dgan.data.overlap import better_place, disagreement
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve
from tests.idx import write_part
from tests.pairs import make_folder


def check(root: Path, overrides: str = "") -> DataCheck:
    return check_data(replace(resolve(f"data=folder {overrides}").data, root=str(root)))


def command(*arguments: object) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, ["data", "check", *map(str, arguments)], env={"COLUMNS": "200"})
    return result.exit_code, result.output, result.exception


# Every file is read, or said not to be


@pytest.mark.parametrize(
    ("make", "reason", "problem"),
    [
        (lambda folder: Image.new("L", (64, 64)).save(folder / "x.bmp"), "another format (.bmp)", "No run reads"),
        (lambda folder: Image.new("L", (64, 64)).save(folder / "x.webp"), "another format (.webp)", "No run reads"),
        (lambda folder: (folder / "x.dcm").write_bytes(b"?"), "another format (.dcm)", "No run reads"),
        (lambda folder: Image.new("L", (9, 9)).save(folder / "x.bak", "PNG"), "another format (.bak)", "No run reads"),
        (lambda folder: (folder / "x.txt").write_text("notes"), "another format (.txt)", None),
        (lambda folder: (folder / "README").write_text("notes"), "another format (no suffix)", None),
        (lambda folder: (folder / "._x.png").write_bytes(b"twin"), "hidden", None),
        (lambda folder: (folder / "x.png").symlink_to("nowhere.png"), "link to nothing", "leads to no file"),
        (lambda folder: (folder / "old").mkdir(), "sub-folder", None),
        (lambda folder: _sub_folder(folder / "more"), "sub-folder with 2 pictures", "No run looks into"),
    ],
)
@pytest.mark.parametrize("part", ["images", "masks"])
def test_what_no_run_reads_is_named(
    tmp_path: Path, part: str, make: Callable[[Path], object], reason: str, problem: str | None
) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=4)
    make(root / part)
    found = check(root)
    (name,) = {path.name for path in (root / part).iterdir()} - {path.name for path in (root / "images").glob("t*.png")}
    assert found.files[part].unused == {reason: (name,)}
    assert [found.files[each].used for each in ("images", "masks")] == [6, 6]
    assert [str(root / part / name) in each and problem in each for each in found.problems] == [True] * bool(problem)
    code, output, _ = command(root)
    assert code == bool(problem)
    assert f"no: {reason}: {name}" in output


def _sub_folder(folder: Path) -> None:
    folder.mkdir()
    for name in ("a.png", "b.tif"):
        Image.new("L", (64, 64)).save(folder / name)


def test_files_beside_the_folders_are_named_and_the_table_is_used(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=4)
    names = sorted(path.stem for path in (root / "images").iterdir())
    (root / "table.csv").write_text("\n".join(["name,split", *(f"{name},{name[:2]}" for name in names)]) + "\n")
    (root / "notes.txt").write_text("")
    (root / "test").mkdir()
    (root / "prepared.json").write_text("{}")
    found = check(root, "data.name_pattern=null data.table=table.csv")
    assert found.problems == ()
    assert (found.files["."].used, dict(found.files["."].unused)) == (
        1,
        {
            "file that no run reads": ("notes.txt",),
            "says how the folder was prepared": ("prepared.json",),
            "folder that no run reads": ("test",),
        },
    )


def test_all_files_of_a_folder_are_counted_once(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=4)
    (root / "masks" / "tr_site0_tr0_0.png").unlink()
    (root / "images" / ".hidden").write_text("")
    (root / "images" / "x.gif").write_text("")
    found = check(root)
    for part, count in (("images", 8), ("masks", 5)):
        files = found.files[part]
        assert files.used + sum(map(len, files.unused.values())) == count == len(list((root / part).iterdir()))
    assert found.files["images"].unused["named among the problems, or its partner is"] == ("tr_site0_tr0_0.png",)


# Images on both sides


def test_images_equal_by_content_on_both_sides_are_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=4)
    with Image.open(root / "images" / "tr_site0_tr2_0.png") as image:
        image.save(root / "images" / "te_site0_te1_0.tif")  # other bytes, the same pixels
    (root / "images" / "te_site0_te1_0.png").unlink()
    (problem,) = check(root).problems
    assert problem.startswith(f"{root}/images/te_site0_te1_0.tif of the test equals {root}/images/tr_site0_tr2_0.png")
    assert command(root)[0] == 1
    with Image.open(root / "images" / "te_site0_te1_0.tif") as image:
        pixels = np.array(image)
    pixels[5, 5, 1] ^= 1
    Image.fromarray(pixels).save(root / "images" / "te_site0_te1_0.tif")
    assert check(root).problems == ()
    # twice in training flatters no test
    (root / "images" / "tr_site0_tr0_0.png").write_bytes((root / "images" / "tr_site0_tr2_0.png").read_bytes())
    assert check(root).problems == ()


def test_blank_images_are_named_as_such(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=1, images=4)
    for name in ("tr_site0_tr0_0", "te_site0_te0_0"):
        Image.new("RGB", (64, 64), (7, 7, 7)).save(root / "images" / f"{name}.png")
    found = check(root)
    assert found.problems == ()
    assert found.notes == (
        f"{root}/images/te_site0_te0_0.png and 1 more of 6 images are of one value throughout: nothing can be seen "
        "there.",
    )


def test_data_sets_that_come_divided_are_only_spoken_of(tmp_path: Path) -> None:
    """Nobody would repair MNIST, so that it is no problem."""
    write_part(tmp_path, "train", [3, 1, 2])
    write_part(tmp_path, "t10k", [5, 6])  # the first two images of the training
    found = check_data(replace(resolve("data=mnist").data, root=str(tmp_path)))
    assert found.problems == ()
    (note,) = found.notes
    assert note.startswith(f"The test images {found.test[0].name}, {found.test[1].name} equal images of the training")


# Numbered objects against masks


def number(root: Path, change: Callable[[np.ndarray], np.ndarray], suffix: str = ".png", **options: object) -> Path:
    """Number squares that the masks show, and write what ``change`` makes of the numbers."""
    (root / "instances").mkdir(exist_ok=True)
    for path in sorted((root / "masks").iterdir()):
        mask = np.zeros((64, 64), np.uint8)
        for index in range(16):
            row, column = divmod(index, 4)
            mask[16 * row + 2 : 16 * row + 12, 16 * column + 3 : 16 * column + 13] = 255
        Image.fromarray(mask).save(path)
        numbers = change(ndimage.label(mask)[0].astype(np.uint16))
        Image.fromarray(numbers).save(root / "instances" / f"{path.stem}{suffix}", **options)
    return root


def shifted(pixels: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda numbers: np.roll(numbers, pixels, 1)


@pytest.mark.parametrize(
    ("change", "suffix", "words"),
    [
        (
            shifted(3),
            ".png",
            "as if it was shifted: it would lie better 3 pixels left. 30.0% of its numbered pixels lie on",
        ),
        (lambda numbers: np.roll(numbers, -2, 0), ".png", "it would lie better 2 pixels down. 20.0% of its"),
        (lambda numbers: np.roll(numbers.T, 6, 0), ".png", "it would lie better 7 pixels up and 1 pixels right."),
        (lambda numbers: np.tril(numbers, -30), ".png", "as if it was of another image"),
        (lambda numbers: numbers.astype(np.uint8), ".jpg", "numbers objects as JPEG, which invents numbers"),
        (lambda numbers: np.dstack([numbers.astype(np.uint8)] * 3), ".png", "has mode RGB"),
        (lambda numbers: numbers[:32], ".png", "is 32 x 64 pixels, and its mask is 64 x 64: make them equal"),
        (lambda numbers: numbers + 1, ".png", "gives the background the number 1, as its mask has it: make it 0"),
        (lambda numbers: np.where(numbers == 0, 999, numbers).astype(np.uint16), ".png", "background the number 999"),
        (lambda numbers: np.zeros_like(numbers), ".png", "100.0% of the mask's foreground has no number"),
        (lambda numbers: (numbers > 0).astype(np.uint8) * 255, ".png", "numbers in {folder} are one connected piece"),
        (lambda numbers: numbers % 4 + (numbers > 0), ".png", "numbers in {folder} are one connected piece"),
    ],
)
def test_instances_that_do_not_fit_their_masks(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], suffix: str, words: str
) -> None:
    root = number(make_folder(tmp_path / "data", sites=1, images=4), change, suffix)
    words = words.format(folder=root / "instances")
    config = replace(resolve("data=folder").data, root=str(root))
    problems = [problem for problem in check_data(config).problems if words in problem]
    assert len(problems) == (1 if "connected piece" in words else 6)
    source = open_source(config)
    with pytest.raises(DataError) as caught:
        with_instances(source.load(source.test), config, source.test)
    assert words in str(caught.value)


def test_sound_instances_pass_and_those_drawn_smaller_are_mentioned(tmp_path: Path) -> None:
    root = number(make_folder(tmp_path / "data", sites=1, images=4), lambda numbers: numbers)
    found = check(root)
    assert (found.problems, found.notes, found.files["instances"].used) == ((), (), 6)
    number(root, lambda numbers: np.where(ndimage.minimum_filter(numbers, 3) > 0, numbers, 0).astype(np.uint16))
    found = check(root)
    assert found.problems == ()
    (note,) = found.notes
    assert "6 of 6 files" in note
    assert "36.0% of the pixels" in note  # 8 x 8 of 10 x 10 are left


def test_instances_a_pixel_beside_are_mentioned(tmp_path: Path) -> None:
    """As public data sets have them."""
    root = number(make_folder(tmp_path / "data", sites=1, images=4), shifted(1))
    found = check(root)
    assert found.problems == ()
    first = f"6 of 6 files in {root}/instances, such as {root}/instances/te_site0_te0_0.png"
    assert f"{first}, would lie better a pixel beside where they are." in found.notes


def test_where_objects_would_lie_better() -> None:
    foreground = np.zeros((40, 50), bool)
    foreground[5:9, 7:19] = foreground[20:31, 30:33] = True
    assert better_place(foreground, foreground) == (0, 0)
    assert better_place(np.roll(foreground, (3, -4), (0, 1)), foreground) == (-3, 4)
    assert better_place(np.zeros_like(foreground), foreground) == (0, 0)
    # 48 + 33 pixels, of which a row of twelve is lost
    assert disagreement(foreground, foreground) == 0
    smaller = foreground.copy()
    smaller[5] = False
    assert disagreement(smaller, foreground) == 12 / 81
    assert better_place(smaller, foreground) == (0, 0)


def test_instances_that_are_missing_or_nobody_s(tmp_path: Path) -> None:
    root = number(make_folder(tmp_path / "data", sites=1, images=4), lambda numbers: numbers)
    folder = root / "instances"
    (folder / "tr_site0_tr0_0.png").rename(folder / "tr_site0_tr9_0.png")
    found = check(root)
    assert [problem.partition(" has no image")[0] for problem in found.problems] == [f"{folder}/tr_site0_tr9_0.png"]
    assert [note.partition(",")[0] for note in found.notes] == [f"{folder} lacks tr_site0_tr0_0"]
    (folder / "te_site0_te1_0.png").unlink()
    assert any("lacks te_site0_te1_0, and 1 of the 2 test pairs" in problem for problem in check(root).problems)


# The command


def test_json_says_all_that_the_tables_say(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=2, images=4)
    (root / "images" / "x.bmp").write_text("")
    code, output, _ = command(root, "--json")
    found = json.loads(output)
    assert code == 1
    assert found["pairs"] == {"training": 8, "test": 4, "groups": 6}
    assert found["sites"]["site1"] == {"training": 4, "test": 2, "groups": 6}
    assert found["sizes"] == [{"height": 64, "width": 64, "pairs": 12}]
    assert (found["classes"], sum(found["class_pixels"].values())) == (2, 12 * 64 * 64)
    assert found["files"]["images"] == {"used": 12, "unused": {"another format (.bmp)": ["x.bmp"]}}
    assert len(found["problems"]) == 1
    assert (found["notes"], found["lacking"]) == ([], {})


def test_the_picture_lays_the_mask_on_the_image(tmp_path: Path) -> None:
    """A black image: what is tinted in the third row is the mask's place."""
    root = make_folder(tmp_path / "data", sites=1, images=1)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    for path in (root / "masks").iterdir():
        Image.fromarray(mask).save(path)
        Image.new("RGB", (64, 64)).save(root / "images" / path.name)
    assert command(root, "--picture", tmp_path / "x.png")[0] == 0
    with Image.open(tmp_path / "x.png") as picture:
        third = np.asarray(picture.convert("RGB")).astype(int)[620:880]
    dark = third[(third.sum(2) == 0)]
    tinted = third[(third[..., 0] > 50) & (third[..., 2] < 50) & (third[..., 1] < third[..., 0])]
    assert 0.7 < len(tinted) / len(dark) < 1.4  # half of each image, but for the outline
    code, _, error = command(root, "--picture", tmp_path / "none" / "x.png")
    assert code == 1
    assert isinstance(error, ConfigError)


# A node's own settings


def test_a_node_s_own_settings_are_looked_at(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "a folder", sites=2, images=4)
    code, output, _ = command("--node-config", f'data-path="{root}" sites="site1" name="clinic"', "--json")
    assert code == 0
    assert json.loads(output)["sites"]["site1"]["training"] == 4
    assert json.loads(output)["pairs"]["training"] == 4
    code, output, _ = command("data.image_size=128", "--node-config", f'data-path="{root}"')
    assert code == 1
    assert "less than data.image_size=128" in output
    code, output, _ = command(root, "--node-config", 'name-pattern="none"', "--json")
    assert json.loads(output)["sites"].keys() == {"all"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            'data-path="/x" name_pattern="none"',
            "Unknown entry of --node-config 'name_pattern'. Did you mean 'name-pattern'",
        ),
        ('name="a"', "--node-config has no data-path"),
        ('data-path="/x" channels="0,7"', "channels"),
        ('data-path="/x" name="../a"', "The name in --node-config"),
        ("nothing", "says nothing"),
        ("data-path=/x", "cannot be read"),
    ],
)
def test_a_node_configuration_that_cannot_be_right(given: str, words: str) -> None:
    code, _, error = command("--node-config", given)
    assert code == 1
    assert isinstance(error, ConfigError)
    assert words in str(error)


def test_no_folder_at_all() -> None:
    _, _, error = command()
    assert isinstance(error, ConfigError)
    assert "Give the folder to check" in str(error)
