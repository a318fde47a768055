"""Views: drawn once, applied alike to images and label maps."""

import colorsys
import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch

from flower_dgan.data import Views, apply_to_images, apply_to_label_maps, draw_views, grid_views, sizes_of
from flower_dgan.errors import ProtocolError

SIZES = np.array([[4, 6], [3, 3]])
# 0 1 2 3 / 4 5 6 7 / 8 9 10 11
COUNTING = np.arange(12, dtype=np.uint8).reshape(3, 4)


def _views(*rows: tuple[int, int, int, int, int], colours: Sequence[int] | None = None) -> Views:
    table = np.array(rows)
    changes = None if colours is None else np.array([colours] * len(rows), np.int8)
    return Views(table[:, 0].astype(np.int64), table[:, 1:].astype(np.int16), changes)


def _pixels(image: np.ndarray, views: Views, side: int) -> np.ndarray:
    """Return the first view of an image as uint8 (side, side, channels)."""
    return ((apply_to_images([image], views, side)[0] + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(np.uint8)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ((0, 0, 0, 0, 0), [[0, 1], [4, 5]]),
        ((0, 1, 2, 0, 0), [[6, 7], [10, 11]]),
        ((0, 1, 2, 1, 0), [[7, 6], [11, 10]]),
        ((0, 1, 2, 0, 90), [[7, 11], [6, 10]]),
        ((0, 1, 2, 0, 180), [[11, 10], [7, 6]]),
        # First mirrored, then turned: the other order gives 11 7 / 10 6.
        ((0, 1, 2, 1, 90), [[6, 10], [7, 11]]),
        ((0, 1, 2, 1, 270), [[11, 7], [10, 6]]),
    ],
)
def test_crop_mirror_turn_by_hand(view: tuple[int, int, int, int, int], expected: list[list[int]]) -> None:
    views = _views(view)
    images = apply_to_images([COUNTING[:, :, None]], views, 2)
    assert ((images + 1) * 127.5).round().int()[0, 0].tolist() == expected
    assert apply_to_label_maps([COUNTING], 12, views, 2).argmax(1)[0].tolist() == expected


@pytest.mark.parametrize(
    ("mirror", "angle", "expected"),
    [
        # By 45 degrees every pixel of the ring goes to its neighbour's place.
        (0, 45, [[1, 2, 5], [0, 4, 8], [3, 6, 7]]),
        (0, 315, [[3, 0, 1], [6, 4, 2], [7, 8, 5]]),
        (1, 45, [[1, 0, 3], [2, 4, 6], [5, 8, 7]]),
        (0, 135, [[5, 8, 7], [2, 4, 6], [1, 0, 3]]),
    ],
)
def test_label_maps_turned_by_hand(mirror: int, angle: int, expected: list[list[int]]) -> None:
    label_map = np.arange(9, dtype=np.uint8).reshape(3, 3)
    turned = apply_to_label_maps([label_map], 9, _views((0, 0, 0, mirror, angle)), 3)
    assert turned.argmax(1)[0].tolist() == expected


def test_corners_hold_what_lies_there_or_the_reflection() -> None:
    """The top left corner of a window of 5 pixels, turned by 45 degrees, lies 2.83 pixels above its centre."""
    label_map = np.arange(49, dtype=np.uint8).reshape(7, 7)
    inside = apply_to_label_maps([label_map], 49, _views((0, 1, 1, 0, 45)), 5).argmax(1)[0]
    assert inside[0, 0] == label_map[0, 3]
    at_the_edge = apply_to_label_maps([label_map], 49, _views((0, 0, 1, 0, 45)), 5).argmax(1)[0]
    assert at_the_edge[0, 0] == label_map[0, 3]
    assert at_the_edge[4, 4] == label_map[5, 3]
    one_colour = np.full((6, 6, 3), 200, np.uint8)
    for angle in range(1, 90, 11):
        assert (_pixels(one_colour, _views((0, 0, 0, 0, angle)), 6) == 200).all()


@pytest.mark.parametrize("angle", [30, 120, 300])
def test_images_are_turned_bilinearly(angle: int) -> None:
    """A plane stays a plane: 6 more a column, so that a turned pixel has its value at x cos + y sin."""
    image = np.repeat(np.arange(41, dtype=np.uint8)[None, :, None] * np.uint8(6), 41, axis=0)
    places = torch.arange(-10.0, 11.0)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    expected = 120 + 6 * (places[None, :] * cos - places[:, None] * sin)
    turned = torch.from_numpy(_pixels(image, _views((0, 10, 10, 0, angle)), 21)[..., 0]).float()
    torch.testing.assert_close(turned, expected, atol=1.0, rtol=0)


@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_channels_are_turned_each_as_if_it_were_alone(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 12, channels), dtype=np.uint8)
    views = _views((0, 2, 2, 1, 33))
    turned = _pixels(image, views, 8)
    assert turned.shape == (8, 8, channels)
    for channel in range(channels):
        np.testing.assert_array_equal(turned[..., channel], _pixels(image[..., [channel]], views, 8)[..., 0])


@pytest.mark.parametrize(
    ("colours", "pixels", "expected"),
    [
        ((20, 0, 0, 0), [[100, 100, 100], [50, 230, 0]], [[120, 120, 120], [60, 255, 0]]),
        ((-20, 0, 0, 0), [[100, 100, 100], [50, 230, 0]], [[80, 80, 80], [40, 184, 0]]),
        # about the mean grey, 100
        ((0, 20, 0, 0), [[0, 0, 0], [200, 200, 200]], [[0, 0, 0], [220, 220, 220]]),
        ((0, -20, 0, 0), [[0, 0, 0], [200, 200, 200]], [[20, 20, 20], [180, 180, 180]]),
        # about the pixel's grey, 0.299 x 200 + 0.587 x 100 = 118.5
        ((0, 0, -20, 0), [[200, 100, 0], [70, 70, 70]], [[184, 104, 24], [70, 70, 70]]),
        ((0, 0, 20, 0), [[200, 100, 0], [70, 70, 70]], [[216, 96, 0], [70, 70, 70]]),
        # first the brightness, then the contrast about 120
        ((20, 20, 0, 0), [[0, 0, 0], [200, 200, 200]], [[0, 0, 0], [255, 255, 255]]),
    ],
)
def test_colours_by_hand(colours: tuple[int, ...], pixels: list[list[int]], expected: list[list[int]]) -> None:
    image = np.array([pixels, pixels], dtype=np.uint8)
    changed = torch.from_numpy(_pixels(image, _views((0, 0, 0, 0, 0), colours=colours), 2)).int()
    torch.testing.assert_close(changed, torch.tensor([expected, expected]).int(), atol=1, rtol=0)


def test_hue_goes_round_the_circle() -> None:
    red = np.array([[[255, 0, 0]]], dtype=np.uint8)
    # 5 % of 255 steps are 12.75, of which 12 are taken, round a circle of 256
    for percent, step in ((5, 12), (-5, 244)):
        changed = torch.from_numpy(_pixels(red, _views((0, 0, 0, 0, 0), colours=(0, 0, 0, percent)), 1)).float()
        expected = 255 * torch.tensor(colorsys.hsv_to_rgb(step / 255, 1, 1))
        torch.testing.assert_close(changed[0, 0], expected, atol=1.0, rtol=0)


def test_what_has_no_colour_keeps_it() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    grey, place = image[..., :1], (0, 0, 0, 0, 0)
    np.testing.assert_array_equal(_pixels(image, _views(place, colours=(0, 0, 0, 0)), 8), image)
    np.testing.assert_array_equal(_pixels(grey, _views(place, colours=(0, 0, 20, 5)), 8), grey)
    assert (_pixels(image, _views(place, colours=(0, 0, 20, 5)), 8) != image).any()
    assert (_pixels(grey, _views(place, colours=(10, 0, 0, 0)), 8) != grey).any()
    label_map = image[..., 0] % 3
    assert torch.equal(
        apply_to_label_maps([label_map], 3, _views(place), 8),
        apply_to_label_maps([label_map], 3, _views(place, colours=(20, -20, 20, 5)), 8),
    )


def test_images_are_scaled_channels_first() -> None:
    image = np.array([[[0, 51, 255]]], dtype=np.uint8)
    batch = apply_to_images([image, image], _views((0, 0, 0, 0, 0), (1, 0, 0, 0, 0)), 1)
    assert batch.shape == (2, 3, 1, 1)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    torch.testing.assert_close(batch[1].flatten(), torch.tensor([-1.0, -0.6, 1.0]))


def test_label_maps_are_one_hot() -> None:
    batch = apply_to_label_maps([np.array([[2, 0], [0, 1]], dtype=np.uint8)], 3, _views((0, 0, 0, 0, 0)), 2)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    assert batch[0].tolist() == [[[0, 1], [1, 0]], [[0, 0], [0, 1]], [[1, 0], [0, 0]]]


def test_drawn_views_pass_and_reach_everything() -> None:
    views = draw_views(SIZES, 400, 3, "flips", _generator(0))
    views.check(SIZES, 3)
    assert views.ids.dtype == np.int64
    assert views.windows.dtype == np.int16
    first = views.windows[views.ids == 0]
    assert {tuple(window) for window in first[:, :2].tolist()} == set(product(range(2), range(4)))
    assert not views.windows[views.ids == 1][:, :2].any()
    assert {tuple(window) for window in views.windows[:, 2:].tolist()} == set(product(range(2), range(0, 360, 90)))
    assert views.colours is None


def test_rotations_and_colours_reach_everything() -> None:
    turned, coloured, both = (
        draw_views(SIZES, 4000, 3, name, _generator(0)) for name in ("rotations", "colour", "all")
    )
    for views in (turned, coloured, both):
        views.check(SIZES, 3)
    for views in (turned, both):
        assert set(views.windows[:, 2]) == {0, 1}
        assert set(views.windows[:, 3]) == set(range(360))
    assert turned.colours is None
    assert not coloured.windows[:, 2:].any()
    for views in (coloured, both):
        assert views.colours is not None
        assert views.colours.min(axis=0).tolist() == [-20, -20, -20, -5]
        assert views.colours.max(axis=0).tolist() == [20, 20, 20, 5]


def test_draws_of_flips_are_those_of_earlier_releases() -> None:
    """Runs are repeated from their seed: first the pairs, then the places, mirrors and quarters."""
    views = draw_views(SIZES, 3, 2, "flips", _generator(5))
    assert views.ids.tolist() == [1, 0, 1]
    assert views.windows.tolist() == [[1, 1, 0, 270], [2, 4, 1, 90], [1, 0, 0, 90]]


def test_without_flips_windows_still_wander() -> None:
    windows = draw_views(SIZES, 100, 3, "none", _generator(0)).windows
    assert not windows[:, 2:].any()
    assert windows[:, 0].max() == 1
    assert windows[:, 1].max() == 3


def test_the_generator_is_the_only_randomness() -> None:
    state = torch.get_rng_state()
    one, same, other = (draw_views(SIZES, 9, 2, "flips", _generator(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.ids, same.ids)
    np.testing.assert_array_equal(one.windows, same.windows)
    assert (one.windows != other.windows).any()
    assert torch.equal(torch.get_rng_state(), state)


def test_no_pair_twice_while_there_are_others() -> None:
    sizes = np.full((6, 2), 4)
    assert sorted(draw_views(sizes, 6, 4, "none", _generator(1)).ids) == list(range(6))
    assert len(set(draw_views(sizes, 5, 4, "none", _generator(1)).ids.tolist())) == 5
    assert len(draw_views(sizes, 7, 4, "none", _generator(1)).ids) == 7


def test_nothing_to_draw() -> None:
    for sizes, count, image_size in ((SIZES, 0, 3), (SIZES[:0], 1, 3), (SIZES, 1, 4)):
        with pytest.raises(ValueError, match=r"pairs|no window"):
            draw_views(sizes, count, image_size, "none", _generator(0))


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ((1, 0, 0, 0, 0), (2, 0, 0, 0, 0), r"pairs 1 \.\. 2 of 2"),
        ((0, 0, 0, 0, 0), (-1, 0, 0, 0, 0), r"pairs -1"),
        ((0, 1, 0, 0, 0), (0, 2, 0, 0, 0), r"highest are \[1, 3, 1, 359\]"),
        ((0, 0, 3, 0, 0), (0, 0, 4, 0, 0), r"\[0, 4, 0, 0\]"),
        ((0, 0, 0, 0, 0), (0, 0, -1, 0, 0), r"\[0, -1, 0, 0\]"),
        ((0, 0, 1, 0, 0), (1, 0, 1, 0, 0), r"highest are \[0, 0, 1, 359\]"),
        ((0, 0, 0, 1, 0), (0, 0, 0, 2, 0), r"\[0, 0, 2, 0\]"),
        ((0, 0, 0, 0, 359), (0, 0, 0, 0, 360), r"\[0, 0, 0, 360\]"),
    ],
)
def test_views_out_of_range(
    good: tuple[int, int, int, int, int], bad: tuple[int, int, int, int, int], words: str
) -> None:
    _views(good).check(SIZES, 3)
    with pytest.raises(ProtocolError, match=words):
        _views(good, bad).check(SIZES, 3)
    images = [np.zeros((4, 6, 1), dtype=np.uint8), np.zeros((3, 3, 1), dtype=np.uint8)]
    with pytest.raises(ProtocolError):
        apply_to_images(images, _views(bad), 3)


@pytest.mark.parametrize("column", range(4))
def test_colours_out_of_range(column: int) -> None:
    for sign in (1, -1):
        colours = [0, 0, 0, 0]
        colours[column] = sign * (20, 20, 20, 5)[column]
        _views((0, 0, 0, 0, 0), colours=colours).check(SIZES, 3)
        colours[column] += sign
        with pytest.raises(ProtocolError, match=r"View 0 changes .* the most are \[20, 20, 20, 5\]"):
            _views((0, 0, 0, 0, 0), colours=colours).check(SIZES, 3)


def test_views_of_wrong_type_or_shape() -> None:
    ids, windows, colours = np.zeros(2, np.int64), np.zeros((2, 4), np.int16), np.zeros((2, 4), np.int8)
    Views(ids, windows, colours).check(SIZES, 3)
    for bad in (
        Views(ids.astype(np.int32), windows),
        Views(ids, windows.astype(np.float32)),
        Views(ids, windows, colours.astype(np.int16)),
        Views(ids[:1], windows),
        Views(ids, windows[:, :3]),
        Views(ids, windows, colours[:, :3]),
        Views(ids, windows, colours[:1]),
        Views(ids[:0], windows[:0]),
        Views(ids[:, None], windows),
    ):
        with pytest.raises(ProtocolError):
            bad.check(SIZES, 3)


def test_grid_covers_from_the_top_left() -> None:
    views = grid_views(np.array([[5, 4], [2, 3]]), 2)
    assert views.ids.tolist() == [0, 0, 0, 0, 1]
    assert views.windows[:, :2].tolist() == [[0, 0], [0, 2], [2, 0], [2, 2], [0, 0]]
    assert not views.windows[:, 2:].any()
    views.check(np.array([[5, 4], [2, 3]]), 2)
    with pytest.raises(ValueError, match="no window of 3"):
        grid_views(np.array([[5, 4], [2, 3]]), 3)


def test_sizes_are_height_and_width() -> None:
    assert sizes_of([np.zeros((2, 5), np.uint8), np.zeros((7, 3, 3), np.uint8)]).tolist() == [[2, 5], [7, 3]]
    assert sizes_of([]).shape == (0, 2)
