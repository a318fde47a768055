"""New layouts of whole objects: bodies turned and put down, bodies that nobody saw, and the objects beside them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import write_label_maps
from flower_dgan.data.array_files import write_image
from flower_dgan.data.centre_lines import centre_line, length
from flower_dgan.data.class_maps import class_map
from flower_dgan.data.coco_annotations import write_coco
from flower_dgan.data.image_files import read_mask
from flower_dgan.data.new_bodies import body_shape, draw_body, new_body
from flower_dgan.data.new_layouts import new_layouts
from flower_dgan.data.object_files import KeptObjects
from flower_dgan.data.object_masks import ObjectMasks, of_stack, region_of
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.networks.build import ImageShape
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import synthesize_folder, write_pairs


def well(turn: int = 0) -> ObjectMasks:
    """Return two bars of 4 x 30 pixels that cross, one of 4 x 40 apart, and one that the upper edge cuts."""
    masks = np.zeros((4, 80, 80), bool)
    masks[0, 20:24, 10:40] = masks[1, 10:40, 20:24] = True
    masks[2, 60:64, 30:70] = True
    masks[3, 0:20, 60:64] = True
    return of_stack(np.rot90(masks, turn, (1, 2)))


def test_whole_bodies_are_turned_and_cross_within_the_floor() -> None:
    given = well()
    made = list(new_layouts([given], 30, 0, "whole"))
    assert {(each.height, each.width) for each in made} == {(80, 80)}
    areas = [region.area for each in made for region in each.regions]
    # of 120 and 160 pixels, which a turn changes little; the bar of 80 at the edge, of which the rest is unknown, never
    assert all(min(abs(area / 120 - 1), abs(area / 160 - 1)) < 0.12 for area in areas)
    assert len({region.pixels.shape for each in made for region in each.regions}) > 10
    # 480 pixels in all as given: three bodies or four
    assert {len(each) for each in made} <= {3, 4}
    overlapping = np.concatenate([each.overlapping() for each in made])
    assert 0.1 < overlapping.mean() < 0.9
    hull = np.zeros((80, 80), bool)
    hull[:64, 10:70] = True
    assert not any((each.depth() > 0)[~hull].any() for each in made)


def test_a_seed_is_a_set_of_layouts() -> None:
    first, again, other = ([each.depth() for each in new_layouts([well()], 3, seed, "new")] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (np.array(first) != other).any()


def test_a_body_is_as_long_and_wide_as_it_was_measured() -> None:
    bar = region_of(np.pad(np.ones((4, 40), bool), 3))
    shape = body_shape(bar)
    assert shape is not None
    assert shape.length == pytest.approx(40, abs=2)
    np.testing.assert_allclose(shape.turns[2:-2], 0, atol=0.01)  # at its ends a skeleton leads into a corner
    drawn = new_body([shape], np.random.default_rng(0))
    assert np.count_nonzero(drawn) == pytest.approx(160, rel=0.1)
    assert length(centre_line(region_of(drawn))) == pytest.approx(40, abs=3)
    disc = region_of(np.hypot(*(np.mgrid[:21, :21] - 10)) <= 8)
    assert body_shape(disc) is None


def test_a_body_is_drawn_along_its_line_as_wide_as_it_says() -> None:
    # from (0, 0) to (0, 10): half widths 1 at the ends, 1.9 three pixels from them, 2.2 after four, 2.5 in the middle
    drawn = draw_body(np.array([[0.0, 0], [0, 5], [0, 10]]), np.array([1.0, 2.5, 1]))
    assert drawn.sum(0).tolist() == [1, 3, 3, 3, 3, 5, 5, 5, 3, 3, 3, 3, 1]
    assert drawn.sum(1).tolist() == [3, 11, 13, 11, 3]


def test_new_bodies_lie_between_given_ones_and_not_over_themselves() -> None:
    short, long = (body_shape(region_of(np.pad(np.ones((4, each), bool), 3))) for each in (30, 60))
    assert short is not None
    assert long is not None
    coiled = replace(long, turns=np.full_like(long.turns, 2 * np.pi / 13))
    rng = np.random.default_rng(0)
    lengths = [length(centre_line(region_of(new_body([short, long], rng)))) for _ in range(20)]
    assert 26 < min(lengths) < 40 < max(lengths) < 64
    areas = [np.count_nonzero(new_body([replace(coiled, length=20.0), short], rng)) for _ in range(10)]
    assert min(areas) > 0.8 * 4 * 20


def test_what_cannot_be_put_together_is_said() -> None:
    cut = well().chosen(np.array([False, False, False, True]))
    with pytest.raises(DataError, match="No object lies whole in its image"):
        new_layouts([cut], 1, 0, "whole")
    disc = np.hypot(*(np.mgrid[:41, :41] - 20)) <= 8
    discs = of_stack(np.stack([np.roll(disc, -9, (0, 1)), np.roll(disc, 9, (0, 1))]))
    with pytest.raises(DataError, match="No object is long and thin"):
        new_layouts([discs], 1, 0, "new")
    assert len(next(new_layouts([discs], 1, 0, "whole"))) == 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder as data prepare writes it: two training wells, and a test well with a body that is far wider."""
    for name, objects in (
        ("tr_a_A01_0", well()),
        ("tr_b_A02_0", well(1)),
        ("te_a_D01_0", of_stack(np.pad(np.ones((1, 30, 60), bool), ((0, 0), (20, 30), (10, 10))))),
    ):
        write_label_maps(tmp_path / "wells/masks", [class_map(objects)], 4, [name])
        (tmp_path / "wells/instances").mkdir(exist_ok=True)
        write_coco(tmp_path / f"wells/instances/{name}.json", {f"{name}.png": objects}, "worm")
    return tmp_path / "wells"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["data", "edit-masks", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.replace("\n", "")


@pytest.mark.parametrize("bodies", ["whole", "new"])
def test_command_writes_class_maps_and_their_objects(folder: Path, tmp_path: Path, bodies: str) -> None:
    said = run(folder, tmp_path / "new", "--masks", "classes", "--bodies", bodies, "--count", 5)
    assert f"from the objects of 2 images: data.label_maps={tmp_path / 'new' / 'masks'}" in said
    kept = KeptObjects(tmp_path / "new")
    names = [f"edited_{number:05d}" for number in range(5)]
    assert list(kept.there) == names
    for name, objects in zip(names, kept.read(names), strict=True):
        np.testing.assert_array_equal(read_mask(tmp_path / "new/masks" / f"{name}.png"), class_map(objects))
        assert max(region.area for region in objects.regions) < 300  # none of the test well's


def test_masks_of_two_classes_stay_so_and_numbered_objects_will_do(tmp_path: Path) -> None:
    write_label_maps(tmp_path / "a/masks", [(well().depth() > 0).astype(np.uint8)], 2, ["x"])
    write_image(well().numbers().astype(np.uint8), tmp_path / "a/instances", "x")
    run(tmp_path / "a", tmp_path / "new", "--bodies", "whole", "--count", 2)
    (objects,) = KeptObjects(tmp_path / "new").read(["edited_00001"])
    drawn = read_mask(tmp_path / "new/masks/edited_00001.png")
    np.testing.assert_array_equal(drawn, 255 * (objects.depth() > 0))


def test_command_says_what_it_lacks(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bare/masks").mkdir(parents=True)
    arguments = ["data", "edit-masks", str(tmp_path / "bare"), str(tmp_path / "new"), "--bodies", "whole"]
    with pytest.raises(DataError, match="keeps no objects: give a folder"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    write_label_maps(folder / "masks", [np.array([[0, 1], [2, 2]], np.uint8)], 3, ["tr_a_A01_0"])
    for name in ("tr_b_A02_0", "te_a_D01_0"):
        (folder / "masks" / f"{name}.png").unlink()
    arguments[2] = str(folder)
    with pytest.raises(ConfigError, match="The masks have 3 classes"):
        CliRunner().invoke(app, [*arguments, "--masks", "classes"], catch_exceptions=False)
    assert not (tmp_path / "new").exists()


def test_a_synthetic_set_has_the_objects_of_its_label_maps(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "new", "--masks", "classes", "--bodies", "whole", "--count", 3)
    torch.manual_seed(0)
    shape = ImageShape(classes=4, channels=1, image_size=32, sites=("a",))
    model = replace(resolve("data=bbbc010 data.root=/data").model, noise_channels=2)
    trained = SmallGenerator(4, 1, 4, 32, 2), model, shape
    pairs, names = synthesize_folder(trained, tmp_path / "new/masks", count=6, site=None, seed=0)
    assert pairs.objects is not None
    for objects, label_map in zip(pairs.objects, pairs.label_maps, strict=True):
        np.testing.assert_array_equal(objects.depth() > 0, label_map > 0)
    write_pairs(tmp_path / "set", pairs, names)
    again = KeptObjects(tmp_path / "set").read(names)
    assert [[region.area for region in each.regions] for each in again] == [
        [region.area for region in each.regions] for each in pairs.objects
    ]
    # where only some label maps have objects there are none
    content = json.loads((tmp_path / "new/instances.json").read_text())
    gone = content["images"].pop()["id"]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != gone]
    (tmp_path / "new/instances.json").write_text(json.dumps(content))
    pairs, _ = synthesize_folder(trained, tmp_path / "new/masks", count=2, site=None, seed=0)
    assert pairs.objects is None
