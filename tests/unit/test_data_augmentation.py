"""Views: drawn once, applied alike to images and label maps."""

from itertools import product

import numpy as np
import pytest
import torch

from flower_dgan.data import Views, apply_to_images, apply_to_label_maps, draw_views, grid_views, sizes_of
from flower_dgan.errors import ProtocolError

SIZES = np.array([[4, 6], [3, 3]])
# 0 1 2 3 / 4 5 6 7 / 8 9 10 11
COUNTING = np.arange(12, dtype=np.uint8).reshape(3, 4)


def _views(*rows: tuple[int, int, int, int, int]) -> Views:
    table = np.array(rows)
    return Views(table[:, 0].astype(np.int64), table[:, 1:].astype(np.int16))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ((0, 0, 0, 0, 0), [[0, 1], [4, 5]]),
        ((0, 1, 2, 0, 0), [[6, 7], [10, 11]]),
        ((0, 1, 2, 1, 0), [[7, 6], [11, 10]]),
        ((0, 1, 2, 0, 1), [[7, 11], [6, 10]]),
        ((0, 1, 2, 0, 2), [[11, 10], [7, 6]]),
        # First mirrored, then turned: the other order gives 11 7 / 10 6.
        ((0, 1, 2, 1, 1), [[6, 10], [7, 11]]),
        ((0, 1, 2, 1, 3), [[11, 7], [10, 6]]),
    ],
)
def test_crop_mirror_turn_by_hand(view: tuple[int, int, int, int, int], expected: list[list[int]]) -> None:
    views = _views(view)
    images = apply_to_images([COUNTING[:, :, None]], views, 2)
    assert ((images + 1) * 127.5).round().int()[0, 0].tolist() == expected
    assert apply_to_label_maps([COUNTING], 12, views, 2).argmax(1)[0].tolist() == expected


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
    assert {tuple(window) for window in views.windows[:, 2:].tolist()} == set(product(range(2), range(4)))


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
        ((0, 1, 0, 0, 0), (0, 2, 0, 0, 0), r"highest are \[1, 3, 1, 3\]"),
        ((0, 0, 3, 0, 0), (0, 0, 4, 0, 0), r"\[0, 4, 0, 0\]"),
        ((0, 0, 0, 0, 0), (0, 0, -1, 0, 0), r"\[0, -1, 0, 0\]"),
        ((0, 0, 1, 0, 0), (1, 0, 1, 0, 0), r"highest are \[0, 0, 1, 3\]"),
        ((0, 0, 0, 1, 0), (0, 0, 0, 2, 0), r"\[0, 0, 2, 0\]"),
        ((0, 0, 0, 0, 3), (0, 0, 0, 0, 4), r"\[0, 0, 0, 4\]"),
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


def test_views_of_wrong_type_or_shape() -> None:
    ids, windows = np.zeros(2, dtype=np.int64), np.zeros((2, 4), dtype=np.int16)
    Views(ids, windows).check(SIZES, 3)
    for bad in (
        Views(ids.astype(np.int32), windows),
        Views(ids, windows.astype(np.float32)),
        Views(ids[:1], windows),
        Views(ids, windows[:, :3]),
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
