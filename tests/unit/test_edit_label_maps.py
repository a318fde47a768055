from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import Pixels
from flower_dgan.data.edit_label_maps import edit_label_maps
from flower_dgan.errors import ConfigError, DataError

CONNECTED = np.ones((3, 3))


def two_maps() -> tuple[Pixels, Pixels]:
    """Return a 5 x 5 square of class 1 around a 3 x 3 one of class 2, and a bar of class 1 at the lower edge."""
    square, bar = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    square[10:15, 20:25] = 1
    square[11:14, 21:24] = 2
    bar[36:40, 5:12] = 1
    return square, bar


def objects(label_map: Pixels) -> list[Pixels]:
    found, _ = ndimage.label(label_map > 0, CONNECTED)
    windows = ndimage.find_objects(found)
    return [np.where(found[w] == n, label_map[w], 0) for n, w in enumerate(windows, start=1)]


def test_objects_are_whole_but_for_a_pixel_and_apart() -> None:
    made = list(edit_label_maps(two_maps(), 60, seed=0))
    assert all(each.shape == (40, 40) and each.dtype == np.uint8 for each in made)
    found = [pixels for each in made for pixels in objects(each)]
    # the square grown (a cross has no corners), as it was and shrunk; shrunk it has class 2 only, which is refused
    grown = np.pad(np.ones((5, 5), np.uint8), 1)
    grown[[0, -1], 1:-1] = 1
    grown[1:-1, [0, -1]] = 1
    grown[2:5, 2:5] = 2
    squares = [each for each in found if 2 in each]
    assert {each.shape for each in squares} == {(5, 5), (7, 7)}
    for each in squares:
        np.testing.assert_array_equal(each, grown if len(each) == 7 else grown[1:-1, 1:-1])
    bars = [each for each in found if 2 not in each]
    # 7 wide and 4 high; above it one more row and beside it one more column at each side, or one less
    assert {each.shape for each in bars} == {(4, 7), (5, 9), (3, 5)}
    assert {each.sum() for each in bars} == {28, 28 + 7 + 8, 15}
    for each in made:
        if (each[-1] == 1).any():
            assert each[-1].sum() in (7, 9, 5)
    assert len({each.tobytes() for each in made}) > 40


def test_bars_of_the_lower_edge_stay_there() -> None:
    for each in edit_label_maps(two_maps()[1:], 20, seed=1):
        assert len(objects(each)) == 1
        assert each[-1].any()


def test_shares_of_foreground_are_the_given_ones() -> None:
    """Maps with 3 and with 30 single dots of 2 x 2 pixels give maps with 12 or 120 pixels, but for grown and shrunk."""
    few, many = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    few[5:7, 5:60:20] = few[5:7, 6:60:20] = 1
    for row in range(5, 55, 10):
        many[row : row + 2, 5:60:10] = many[row : row + 2, 6:60:10] = 1
    made = [len(objects(each)) for each in edit_label_maps((few, many), 40, seed=0)]
    assert set(made) == {3, 30}
    assert 10 <= made.count(3) <= 30


def test_a_seed_is_a_set_of_label_maps() -> None:
    first, again, other = (np.stack(list(edit_label_maps(two_maps(), 5, seed))) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_what_has_no_objects() -> None:
    with pytest.raises(DataError, match="no foreground object"):
        edit_label_maps((np.zeros((8, 8), np.uint8),), 1, 0)
    with pytest.raises(DataError, match="foreground from edge to edge"):
        edit_label_maps((np.ones((8, 8), np.uint8),), 1, 0)


def test_command(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    for number, label_map in enumerate(two_maps()):
        Image.fromarray(np.uint8(255) * (label_map > 0)).save(tmp_path / "given" / f"{number}.png")
    arguments = ["data", "edit-masks", str(tmp_path / "given"), str(tmp_path / "new"), "--count", "4", "--seed", "2"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "new").iterdir())
    assert [file.name for file in files] == [f"edited_{number:05d}.png" for number in range(4)]
    assert {tuple(np.unique(np.asarray(Image.open(file)))) for file in files} == {(0, 255)}
    assert isinstance(CliRunner().invoke(app, arguments).exception, ConfigError)
