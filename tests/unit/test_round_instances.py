"""Round objects that touch: their class maps, how maps are split into them, and a model that learns them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import Pairs
from flower_dgan.data.class_maps import CLASSES, LINE, class_map, shape_of
from flower_dgan.data.image_files import read_mask
from flower_dgan.data.object_masks import Bits, ObjectMasks, of_stack
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.metrics.shared.average_precision import matched
from flower_dgan.resolve import resolve
from flower_dgan.tasks.instances import TASK
from flower_dgan.tasks.instances.fit import as_class_maps, fit_dense
from flower_dgan.tasks.instances.learned_scale import scale_remark
from flower_dgan.tasks.instances.predict import find_objects
from flower_dgan.tasks.instances.scale import Scale
from flower_dgan.tasks.instances.splitting import is_round, split, split_class_map, split_mask
from flower_dgan.tasks.instances.tracing import measure, trace
from flower_dgan.tasks.instances.truth import true_objects
from flower_dgan.tasks.tstr import score


def disc(row: float, column: float, radius: float = 6.0, side: int = 64) -> Bits:
    return np.hypot(*(np.mgrid[:side, :side] - np.array([row, column])[:, None, None])) <= radius


# Two that touch (12 pixels apart, with radius 6.4 for the second: 10 columns of contact), and one alone.
TOUCHING = of_stack(np.stack([disc(20, 20), disc(20, 32, 6.4) & ~disc(20, 20), disc(46, 40)]))
USUAL = Scale(12.0, 6.0)


def test_the_class_map_of_round_objects_has_a_middle_each() -> None:
    drawn = class_map(TOUCHING, "round")
    assert ((drawn > 0) == (TOUCHING.depth() > 0)).all()
    middle = of_stack(np.stack([disc(46, 40, 3)])).regions[0]
    # at least half as far from the outline as the centre of the disc, whose 7 pixels are 3.5 and more
    assert 0.6 * middle.area < np.count_nonzero((drawn == LINE) & disc(46, 40)) < 1.6 * middle.area
    found = split_class_map(drawn)
    hit, false = matched(TOUCHING, found, 0.9)
    assert (hit.tolist(), false, found.scores) == ([True] * 3, 0, ())
    # a bar is long in the same measure that takes discs and ellipses for round
    bar = np.zeros((64, 64), bool)
    bar[30:34, 10:50] = True
    assert [shape_of([each]) for each in (TOUCHING, of_stack(bar[None]), ObjectMasks(9, 9, ()))] == [
        "round",
        "long",
        "long",
    ]


def test_objects_of_a_pixel_or_two_have_a_middle_too() -> None:
    small = np.zeros((2, 9, 9), bool)
    small[0, 2, 2] = small[1, 5:7, 5:8] = True
    assert np.count_nonzero(class_map(of_stack(small), "round") == LINE) == 7


def test_round_and_long_class_maps_are_told_apart() -> None:
    bar = np.zeros((1, 64, 64), bool)
    bar[0, 30:34, 10:50] = True
    long = class_map(of_stack(bar))
    assert [is_round([each]) for each in (class_map(TOUCHING, "round"), long)] == [True, False]
    scale = measure([class_map(TOUCHING, "round")])
    assert scale is not None
    assert scale.is_round
    assert scale.length == pytest.approx(12, abs=1)
    of_bars = measure([long])
    assert of_bars is not None
    assert not of_bars.is_round
    # lines of short objects are lines
    stub = np.zeros((1, 64, 64), bool)
    stub[0, 30:36, 30:38] = True
    of_stubs = measure([class_map(of_stack(stub))])
    assert of_stubs is not None
    assert not of_stubs.is_round


def maps_of(objects: ObjectMasks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = class_map(objects, "round")
    foreground = np.where(drawn > 0, 0.9, 0.1).astype(np.float32)
    return foreground, np.zeros_like(foreground), np.where(drawn == LINE, 0.8, 0.2).astype(np.float32)


def test_objects_grow_from_their_middles_and_what_has_none_is_one_object() -> None:
    foreground, crossing, middle = maps_of(TOUCHING)
    found = trace(foreground, crossing, middle, USUAL)
    hit, false = matched(TOUCHING, found, 0.9)
    assert (hit.tolist(), false) == ([True] * 3, 0)
    assert found.scores == pytest.approx((0.85, 0.85, 0.85), abs=1e-6)
    assert found.depth().max() == 1
    middle[disc(46, 40)] = 0.2
    found = trace(foreground, crossing, middle, USUAL)
    assert len(found) == 3
    assert sorted(found.scores) == pytest.approx([0.55, 0.85, 0.85], abs=1e-6)
    # specks are no objects
    foreground[2:4, 2:4] = 0.9
    assert len(trace(foreground, crossing, middle, USUAL)) == 3
    empty = np.zeros((40, 40), np.float32)
    assert len(split(empty, empty, empty, USUAL)) == len(split(empty, empty, None, None)) == 0


def test_without_a_head_objects_grow_from_where_the_foreground_is_widest() -> None:
    foreground, crossing, _ = maps_of(TOUCHING)
    for found in (trace(foreground, crossing, None, USUAL), split_mask(foreground > 0.5)):
        hit, false = matched(TOUCHING, found, 0.75)
        assert (hit.tolist(), false) == ([True] * 3, 0)


def test_masks_may_be_larger_than_the_maps() -> None:
    found = trace(*maps_of(TOUCHING), USUAL, enlarged=2)
    assert (found.height, found.width) == (128, 128)
    whole = of_stack(TOUCHING.stack().repeat(2, 1).repeat(2, 2))
    hit, false = matched(whole, found, 0.8)
    assert (hit.tolist(), false) == ([True] * 3, 0)


def test_masks_of_round_objects_become_class_maps_of_their_parts() -> None:
    mask = (TOUCHING.depth() > 0).astype(np.uint8)
    (drawn,) = as_class_maps([mask], 2)
    assert len(split_class_map(drawn)) == 3
    assert ((drawn > 0) == (mask > 0)).all()


SETTINGS = replace(resolve("data=bbbc010 data.root=/data").downstream, steps=60, batch_size=2, learning_rate=1e-2)
PIXELS = (200 - 120 * (TOUCHING.depth() > 0)).astype(np.uint8)[..., None]
PAIRS = Pairs((PIXELS,), (class_map(TOUCHING, "round"),), len(CLASSES), objects=(TOUCHING,))


def test_one_image_is_learned_and_its_touching_objects_told_apart() -> None:
    training = fit_dense(PAIRS, SETTINGS, image_size=64, augmentation="none", seed=0)
    training.run(60)
    learned = score(TASK, training.model, PAIRS, image_size=64, metrics=("ap50", "dsb50"))
    assert learned == {"ap50": pytest.approx(1), "dsb50": 1}
    found = find_objects(training.model, PIXELS)
    assert found.lines == ()
    said = scale_remark(training.model, [found])
    assert said.startswith("The model learned round objects of about 1")
    assert "times as wide" not in said
    large = ObjectMasks(64, 64, of_stack(disc(32, 32, 14)[None]).regions)
    assert "What it found is 2." in scale_remark(training.model, [large])


def test_true_objects_of_round_class_maps_grow_from_their_middles() -> None:
    (found,) = true_objects(replace(PAIRS, objects=None))
    hit, false = matched(TOUCHING, found, 0.9)
    assert (hit.tolist(), false) == ([True] * 3, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return two pairs of which the first has numbered objects."""
    for name in ("tr_a_p1_0", "tr_a_p2_0"):
        for kind, pixels in (("images", PIXELS[..., 0]), ("masks", 255 * (PIXELS[..., 0] < 100).astype(np.uint8))):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "data" / kind / f"{name}.png")
    (tmp_path / "data/instances").mkdir()
    Image.fromarray(TOUCHING.numbers().astype(np.uint16)).save(tmp_path / "data/instances/tr_a_p1_0.png")
    return tmp_path / "data"


def test_class_maps_are_drawn_from_the_objects_of_a_folder(folder: Path, tmp_path: Path) -> None:
    arguments = ["data", "prepare", "folder", str(folder), str(tmp_path / "new"), "--class-maps", "round"]
    with pytest.raises(DataError, match=r"tr_a_p2_0.png has no objects to draw a class map of"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    result = CliRunner().invoke(app, [*arguments, "--skip-unreadable"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    drawn = read_mask(tmp_path / "new/masks/tr_a_p1_0.png")
    np.testing.assert_array_equal(drawn, class_map(TOUCHING, "round"))
    np.testing.assert_array_equal(read_mask(tmp_path / "new/instances/tr_a_p1_0.png"), TOUCHING.numbers())
    assert not (tmp_path / "new/masks/tr_a_p2_0.png").exists()


def test_class_maps_are_not_resized_and_not_for_data_without_objects(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which --size would spoil"):
        prepare("folder", folder, tmp_path / "new", PrepareSettings(size=32, class_maps="round"))
    with pytest.raises(ConfigError, match=r"--class-maps is for asyndgan-hdf5, folder, kumar, monuseg, not for whu"):
        prepare("whu", folder, tmp_path / "new", PrepareSettings(class_maps="round"))
