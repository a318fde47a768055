"""``data.classes``, ``data.class_names`` and ``data.class_colours``: what is read with them, shown, and refused."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.config import DataConfig
from flower_dgan.data import (
    Entry,
    Pairs,
    apply_to_label_maps,
    check_label_map_sizes,
    draw_views,
    grid_views,
    open_source,
    read_foreign_label_maps,
    read_label_maps,
    sizes_of,
)
from flower_dgan.data.check import check_data
from flower_dgan.data.colours import paint
from flower_dgan.data.declared_classes import DeclaredClasses
from flower_dgan.errors import ConfigError, DataError, ProtocolError
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_bundle
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import sample_grid

SIDE = 16


def write_masks(root: Path, masks: dict[str, list[int]], suffix: str = ".png") -> Path:
    """Write pairs of 16 x 16 whose mask has a column of four pixels for each value, and 0 elsewhere."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for name, values in masks.items():
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:4, : len(values)] = values
        Image.new("RGB", (SIDE, SIDE)).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}{suffix}")
    return root


def settings(root: Path, overrides: str = "") -> DataConfig:
    return resolve(f"data=folder data.root='{root}' data.image_size={SIDE} data.name_pattern=null {overrides}").data


# What is set


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("data.classes=1", "data.classes=1 must be from 2"),
        ("data.classes=65", "to 64, or null"),
        ("data.classes=257 data.condition=class downstream=none", "to 256, or null"),
        ("data.classes=3 data.class_names=[ground,road]", "data.class_names has 2 entries, and data.classes=3"),
        ("data.class_names=[ground,road]", "data.classes=null: name each class from 0, the background, and set"),
        ("data.classes=2 'data.class_colours=[\"#000000\"]'", "data.class_colours has 1 entries, and data.classes=2"),
        ("data.classes=2 data.class_names=[road,road]", "data.class_names has 'road' twice"),
        ("data.classes=2 'data.class_names=[\" road\",ground]'", "without blanks around them"),
        ("data.classes=2 'data.class_names=[\"\",ground]'", "a name has 1 to 64 characters"),
        ("data.classes=2 'data.class_names=[\"a\x1b[2J\",ground]'", "characters that can be printed"),
        ('data.classes=2 \'data.class_colours=["#00000","#ff0000"]\'', "data.class_colours: '#00000' is no colour"),
        ("data.classes=2 data.class_colours=[red,black]", "'red' is no colour: write #rrggbb"),
        ("data.classes=many", "data.classes='many' is of type str, not int"),
        (
            "data.classes=3 data.target=label-maps data.condition=none model=dcgan downstream=none",
            "data.target=label-maps draws masks of background and foreground, and data.classes=3",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(overrides: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(overrides)
    assert words in str(caught.value)


def test_colours_in_a_toml_file_as_the_documentation_writes_them() -> None:
    page = (Path(__file__).parents[2] / "docs/data.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0]
    data = resolve(tomllib.loads(text)["overrides"]).data
    assert data.class_colours == ("#ffffff", "#ff0000", "#0000ff")


def test_names_label_classes() -> None:
    data = resolve("data.classes=2 'data.class_names=[ground,dense road]'").data
    assert [data.class_label(index) for index in range(3)] == ["0 (ground)", "1 (dense road)", "2"]
    assert resolve("").data.class_label(1) == "1"
    assert resolve("data.classes=100 data.condition=class downstream=none").data.classes == 100


# What is read


@pytest.mark.parametrize(
    ("masks", "classes", "values"),
    [
        ({"a": [1], "b": [0]}, 3, [1, 0]),  # the rarest class is missing
        ({"a": [0], "b": [0]}, 3, [0, 0]),  # and the others
        ({"a": [1, 5], "b": [2]}, 64, [5, 2]),
        ({"a": [255], "b": [0]}, 2, [1, 0]),
        ({"a": [1], "b": [0]}, 2, [1, 0]),
    ],
)
def test_a_folder_has_as_many_classes_as_are_set(
    tmp_path: Path, masks: dict[str, list[int]], classes: int, values: list[int]
) -> None:
    source = open_source(settings(write_masks(tmp_path, masks), f"data.classes={classes}"))
    entries = sorted((*source.train, *source.test), key=lambda entry: entry.name)
    pairs = source.load(entries)
    assert source.classes == pairs.classes == classes
    assert [int(label_map.max()) for label_map in pairs.label_maps] == values
    views = grid_views(sizes_of(pairs.label_maps), SIDE)
    one_hot = apply_to_label_maps(pairs.label_maps, pairs.classes, views, SIDE)
    assert one_hot.shape == (2, classes, SIDE, SIDE)
    assert one_hot.sum(1).unique().tolist() == [1]


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({"a": [1, 4], "b": [2]}, "masks/a.png holds class 4, and with data.classes=3 classes are 0 to 2"),
        ({"a": [1, 4], "b": [2]}, "let the run have data.classes=5"),
        ({"a": [0], "b": [255]}, "masks/b.png holds 0 and 255, which are two classes, and data.classes=3"),
        ({"a": [0], "b": [1, 99]}, "masks/b.png holds the values 0, 1, 99"),
    ],
)
def test_a_class_beyond_those_that_are_set_is_named(tmp_path: Path, masks: dict[str, list[int]], words: str) -> None:
    with pytest.raises(DataError) as caught:
        open_source(settings(write_masks(tmp_path, masks), "data.classes=3"))
    assert words in str(caught.value)


def test_each_mask_with_such_a_class_is_a_problem(tmp_path: Path) -> None:
    root = write_masks(tmp_path, {"a": [3], "b": [1], "c": [7], "d": [2]})
    found = check_data(settings(root, "data.classes=3"))
    assert [problem.split(", ")[0].removeprefix(f"{root}/masks/") for problem in found.problems] == [
        "a.png holds class 3",
        "c.png holds class 7",
    ]
    assert (found.classes, found.class_pixels) == (3, {0: 2 * SIDE * SIDE - 8, 1: 4, 2: 4})


class Stripes:
    """A source of one's own, in which class ``highest`` is found."""

    def __init__(self, highest: int, side: int = SIDE) -> None:
        self.classes, self.image_classes, self._highest = 2, 0, highest
        self.train: Sequence[Entry] = (Entry("plain", "all", "a", -1, side, SIDE),)
        self.test: Sequence[Entry] = (Entry("striped", "all", "b", -1, SIDE, SIDE),)

    def load(self, entries: Sequence[Entry]) -> Pairs:
        maps = [np.full((SIDE, SIDE), self._highest * (entry.name == "striped"), np.uint8) for entry in entries]
        return Pairs(tuple(np.zeros((SIDE, SIDE, 1), np.uint8) for _ in maps), tuple(maps), 2)


def test_any_source_has_as_many_classes_as_are_set() -> None:
    source = DeclaredClasses(Stripes(2), 3)
    assert (source.classes, source.load([*source.train, *source.test]).classes) == (3, 3)
    source = DeclaredClasses(Stripes(3), 3)
    assert source.load(source.train).classes == 3
    with pytest.raises(DataError, match=r"striped holds class 3, and with data.classes=3 classes are 0 to 2"):
        source.load(source.test)
    digits = open_source(resolve("data.classes=5").data)
    assert (digits.classes, digits.load(digits.test[:2]).classes) == (5, 5)


def test_a_source_of_ones_own_with_images_too_small_for_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(resolve(f"data.image_size={SIDE}").data, source="own.data:Stripes")
    monkeypatch.setattr("flower_dgan.data.source.make", lambda *_, **__: Stripes(1, side=SIDE - 1))
    with pytest.raises(DataError, match=r"plain is 15 x 16 pixels, less than data.image_size=16"):
        open_source(config)
    monkeypatch.setattr("flower_dgan.data.source.make", lambda *_, **__: Stripes(2))
    assert open_source(config).classes == 2
    assert open_source(replace(config, classes=3)).classes == 3


def test_with_a_condition_the_classes_are_those_of_images() -> None:
    source = open_source(resolve("data.condition=class data.classes=12 downstream=none").data)
    pairs = source.load(source.test[:3])
    assert (source.classes, pairs.classes) == (12, 12)
    assert [int(label_map.max()) for label_map in pairs.label_maps] == [entry.label for entry in source.test[:3]]
    with pytest.raises(DataError, match=r"holds class 9, and with data.classes=9 classes are 0 to 8"):
        open_source(resolve("data.condition=class data.classes=9 downstream=none").data)
    assert open_source(resolve("data.condition=none data.classes=9 downstream=none").data).classes == 1


def test_label_maps_at_the_server_have_as_many_classes(tmp_path: Path) -> None:
    root = write_masks(tmp_path, {"a": [1], "b": [0]})
    config = replace(settings(root, "data.classes=4"), label_maps=str(root / "masks"))
    foreign = read_foreign_label_maps(config)
    assert foreign is not None
    assert foreign.classes == 4
    found = read_foreign_label_maps(replace(config, classes=None))
    assert found is not None
    assert found.classes == 2
    write_masks(root, {"a": [5]})
    with pytest.raises(DataError, match=r"a\.png holds class 5, and with data.classes=4"):
        read_foreign_label_maps(config)


@pytest.mark.parametrize("quality", [75, 100])
def test_class_ids_in_jpeg_are_refused(tmp_path: Path, quality: int) -> None:
    mask = np.repeat(np.arange(4, dtype=np.uint8) % 3, 16).reshape(8, 8).repeat(2, 0).repeat(2, 1)
    root = write_masks(tmp_path, {"a": [1, 2], "b": [1, 2]})
    (root / "masks/a.png").unlink()
    Image.fromarray(mask).save(root / "masks/a.jpg", quality=quality)
    with pytest.raises(DataError, match=r"a\.jpg holds the values .* as JPEG, which invents values"):
        open_source(settings(root))


# Sizes that nodes say


@given(
    st.lists(st.tuples(st.integers(-2, 70_000), st.integers(-2, 70_000)), min_size=1, max_size=6),
    st.integers(1, 64),
)
def test_sizes_that_pass_hold_every_window(sides: list[tuple[int, int]], image_size: int) -> None:
    sizes = np.array(sides, dtype=np.int64)
    fits = all(image_size <= side <= 32_767 for pair in sides for side in pair)
    if not fits:
        with pytest.raises(ProtocolError):
            check_label_map_sizes(sizes, image_size)
        return
    check_label_map_sizes(sizes, image_size)
    draw_views(sizes, 4, image_size, "all", torch.Generator()).check(sizes, image_size)


def test_sizes_that_do_not_are_counted() -> None:
    with pytest.raises(ProtocolError, match=r"2 of 3 label maps .* 32 \(data.image_size\).*, the first of them 1 x 40"):
        check_label_map_sizes(np.array([[32, 32], [1, 40], [1, 1]], np.int32), 32)
    with pytest.raises(ProtocolError, match="no label map"):
        check_label_map_sizes(np.zeros((0, 2), np.int32), 32)


# What is shown

COLOURS = ("#000000", "#ff0000", "#0000fF")


def test_colours() -> None:
    np.testing.assert_array_equal(
        paint(np.array([[2, 1, 0]], np.uint8), COLOURS), [[[0, 0, 255], [255, 0, 0], [0, 0, 0]]]
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_sample_grids_show_the_colours_of_the_classes(tmp_path: Path, channels: int) -> None:
    torch.manual_seed(0)
    network = SmallGenerator(3, channels, 8, SIDE, 2)
    labels = ClientLabels("a", (np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE) % 3,), 3, 0)
    _, inputs = draw_bundle(labels, BundleSettings(1, 2, SIDE, "none", 2, seed=0), 1)
    real = np.full((2, SIDE, SIDE, channels), 7, np.uint8)
    sample_grid(network, [inputs], real, tmp_path / "grid.png", COLOURS)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))[::2, ::2]
    assert grid.shape == (2 * SIDE, 3 * SIDE, 3)
    np.testing.assert_array_equal(grid[:SIDE, :SIDE], paint(labels.label_maps[0], COLOURS))
    np.testing.assert_array_equal(grid[:, 2 * SIDE :], 7)
    # of label maps that do not have these classes, such as constant ones, grey levels are shown
    sample_grid(network, [inputs], None, tmp_path / "grid.png", COLOURS[:2])
    levels = np.unique(np.asarray(Image.open(tmp_path / "grid.png"))[:, : 2 * SIDE])
    assert levels.tolist() == [0, 127, 254]


def check(root: Path, overrides: str = "", *options: object) -> tuple[int, str]:
    arguments = ["data", "check", str(root), f"data.image_size={SIDE} {overrides}", *map(str, options)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_check_names_classes_and_who_lacks_them(tmp_path: Path) -> None:
    root = write_masks(
        tmp_path / "data",
        {"tr_bonn_b1_0": [1], "te_bonn_b2_0": [2], "tr_arles_a1_0": [1, 2], "tr_red(1)_r1_0": [1]},
    )
    code, output = check(root)
    assert code == 0
    assert "Set data.classes=3, or as many as all clients have together" in output
    assert "No training pair of site bonn has class 2." in output  # its test pair has
    assert "No training pair of site red(1) has class 2." in output
    assert "site arles has" not in output
    colours = str(list(COLOURS)).replace(" ", "").replace("'", '"')
    named = "data.classes=4 'data.class_names=[ground,house,road,\"[b]\"]' "
    named += f"'data.class_colours={colours[:-1]},\"#00ff00\"]'"
    code, output = check(root, named, "--picture", tmp_path / "check.png")
    assert code == 0
    assert "Set data.classes" not in output
    assert "No training pair of site bonn has class 2 (road), 3 ([b])." in output
    assert "No training pair of site arles has class 3 ([b])." in output
    # 1,024 pixels of four pairs; class 2 has twice 4
    rows = [[cell.strip() for cell in line.split("│")[1:3]] for line in output.splitlines() if "%" in line]
    assert rows == [["0 (ground)", "98.05%"], ["1 (house)", "1.17%"], ["2 (road)", "0.78%"], ["3 ([b])", "0.00%"]]
    with Image.open(tmp_path / "check.png") as picture:
        seen = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
    assert {(0, 0, 0), (255, 0, 0), (0, 0, 255)} <= seen


def test_check_of_two_classes_proposes_nothing(tmp_path: Path) -> None:
    code, output = check(write_masks(tmp_path, {"a": [255], "b": [0]}), "data.name_pattern=null")
    assert code == 0
    assert "Set data.classes" not in output
    # nor where the generator sees no masks
    root = write_masks(tmp_path, {"a": [2], "b": [1]})
    code, output = check(root, "data.name_pattern=null data.condition=none downstream=none")
    assert code == 0
    assert "Set data.classes" not in output


def write_pieces(root: Path, pieces: int, *, numbered: bool) -> Path:
    """Write two masks with a number of squares each, which count on, or are of the classes 1 .. 4 in turn."""
    write_masks(root, {"a": [0], "b": [0]})
    for name in "ab":
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for index in range(pieces):
            row, column = divmod(index, 4)
            mask[row * 4 : row * 4 + 3, column * 4 : column * 4 + 3] = index + 1 if numbered else index % 4 + 1
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return root


def test_check_names_masks_that_number_objects(tmp_path: Path) -> None:
    root = write_pieces(tmp_path, 12, numbered=True)
    code, output = check(root, "data.name_pattern=null")
    assert code == 1
    assert "masks/a.png and 1 more look as if their values number objects" in output
    assert "flower-dgan data prepare folder --instances. If they are classes: set data.classes=13." in output
    with pytest.raises(DataError, match="look as if their values number objects"):
        open_source(settings(root))
    # who says so knows
    for said in ("data.classes=13", "data.masks=classes", "data.masks=objects"):
        assert check(root, f"data.name_pattern=null {said}")[0] == 0


def test_check_takes_classes_of_many_pieces_for_classes(tmp_path: Path) -> None:
    assert check(write_pieces(tmp_path / "many", 12, numbered=False), "data.name_pattern=null")[0] == 0
    # a mask with 2 and without 1 does not count on
    root = write_pieces(tmp_path / "few", 3, numbered=True)
    assert check(root, "data.name_pattern=null")[0] == 1
    write_masks(root, {"c": [2]})
    assert check(root, "data.name_pattern=null")[0] == 0


def test_partition_names_the_classes_of_images(tmp_path: Path) -> None:
    names = ",".join(f"named-{digit}" for digit in range(10))
    for condition, expected in (("class", "named-3 ("), ("label-map", "digit-3 (")):
        overrides = f"partition=pathological data.condition={condition} downstream=none data.classes=10"
        result = CliRunner().invoke(
            app,
            [
                "data",
                "partition",
                f"{overrides} data.class_names=[{names}]",
                "--clients",
                "10",
                "--output",
                str(tmp_path / "x.png"),
            ],
            env={"COLUMNS": "200"},
        )
        assert result.exit_code == 0, result.output
        assert expected in result.output


# What is written


def test_prepared_and_edited_masks_of_two_class_ids_stay_ids(tmp_path: Path) -> None:
    """Another site may have more classes, and 0 and 255 would say that there are two."""
    root = write_masks(tmp_path / "raw", {"a": [0], "b": [0]})
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[6:10, 6:10] = 1
    Image.fromarray(mask).save(root / "masks/a.png")
    invoke = CliRunner().invoke
    assert invoke(app, ["data", "prepare", "folder", str(root), str(tmp_path / "prepared")]).exit_code == 0
    edited = ["data", "edit-masks", str(root / "masks"), str(tmp_path / "edited"), "--count", "6"]
    assert invoke(app, edited).exit_code == 0
    for folder in (tmp_path / "prepared/masks", tmp_path / "edited"):
        found = read_label_maps(folder, SIDE, 3)
        assert found.classes == 3
        assert max(int(label_map.max()) for label_map in found.maps) == 1
    binary = write_masks(tmp_path / "binary", {"a": [255], "b": [0]})
    assert invoke(app, ["data", "prepare", "folder", str(binary), str(tmp_path / "kept")]).exit_code == 0
    assert np.asarray(Image.open(tmp_path / "kept/masks/a.png")).max() == 255
