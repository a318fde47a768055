"""Windows that are placed on the foreground."""

import numpy as np
import pytest
import torch

from flower_dgan.data.augmentation import draw_views
from flower_dgan.data.foreground import on_foreground
from flower_dgan.data.views import Views, sizes_of
from flower_dgan.gan.bundle import BundleSettings, ClientLabels
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import draw_for
from flower_dgan.wiring import bundle_settings

SIDE, COUNT = 8, 400


def spotted(height: int, width: int, top: int, left: int) -> np.ndarray:
    """Return a label map with one spot of 6 x 6 pixels of class 2."""
    label_map = np.zeros((height, width), np.uint8)
    label_map[top : top + 6, left : left + 6] = 2
    return label_map


MAPS = [spotted(60, 40, 0, 34), spotted(50, 70, 20, 30), np.zeros((40, 40), np.uint8)]


def views(seed: int = 0) -> Views:
    return draw_views(sizes_of(MAPS), COUNT, SIDE, "flips", torch.Generator().manual_seed(seed))


def placed(share: float, seed: int = 1) -> Views:
    return on_foreground(views(), MAPS, share, SIDE, torch.Generator().manual_seed(seed))


def shown(drawn: Views) -> np.ndarray:
    """Return whether each window shows foreground."""
    windows = zip(drawn.ids.tolist(), drawn.windows[:, :2].tolist(), strict=True)
    return np.array([MAPS[index][top : top + SIDE, left : left + SIDE].any() for index, (top, left) in windows])


def test_no_window_is_placed_and_nothing_drawn_where_the_share_is_none() -> None:
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    drawn = views()
    assert on_foreground(drawn, MAPS, 0.0, SIDE, generator) is drawn
    assert torch.equal(generator.get_state(), before)


def test_all_windows_show_foreground_where_there_is_any() -> None:
    """Among 256 of 2,400 pixels one of 36 is found in 98 % of the cases, of 3,500 in 93 %."""
    drawn = placed(1.0)
    assert shown(drawn)[drawn.ids < 2].mean() > 0.9
    assert shown(views())[views().ids < 2].mean() < 0.2
    assert not shown(drawn)[drawn.ids == 2].any()


def test_windows_stay_within_their_images_and_are_turned_as_before() -> None:
    before, after = views(), placed(1.0)
    after.check(sizes_of(MAPS), SIDE)
    np.testing.assert_array_equal(after.ids, before.ids)
    np.testing.assert_array_equal(after.windows[:, 2:], before.windows[:, 2:])
    assert before.windows.base is not after.windows


def test_a_window_without_foreground_in_its_map_stays() -> None:
    before, after = views(), placed(1.0)
    empty = before.ids == 2
    np.testing.assert_array_equal(after.windows[empty], before.windows[empty])


def test_a_pixel_of_the_foreground_lies_anywhere_in_its_window() -> None:
    """Of a single pixel in the middle, all places in a window are as likely: the corner is uniform in 8 x 8."""
    label_map = np.zeros((16, 16), np.uint8)
    label_map[8, 8] = 1
    drawn = draw_views(sizes_of([label_map]), 4000, SIDE, "none", torch.Generator().manual_seed(0))
    found = on_foreground(drawn, [label_map], 1.0, SIDE, torch.Generator().manual_seed(1)).windows[:, :2]
    # 256 draws find 1 pixel of 256 in 1 - (255 / 256)^256 = 63 % of the cases; the others lie in 9 x 9 corners
    corners = np.zeros((9, 9))
    np.add.at(corners, tuple(found.T), 1)
    expected = np.full((9, 9), 0.368 / 81)
    expected[1:, 1:] += 0.632 / 64
    np.testing.assert_allclose(corners / 4000, expected, atol=0.007)


def test_half_of_the_windows_are_half() -> None:
    moved = (placed(0.5).windows != views().windows).any(1)[views().ids < 2]
    assert 0.38 < moved.mean() < 0.58


@pytest.mark.parametrize(("overrides", "share"), [("data=folder data.root=/a", 0.5), ("", 0.0)])
def test_folders_place_half_of_their_windows(overrides: str, share: float) -> None:
    assert bundle_settings(resolve(overrides)).foreground == share


def test_the_published_set_has_as_much_foreground_as_the_label_maps() -> None:
    """One spot of 36 of 3,600 pixels: 1 % of what is drawn, where windows placed on it would have a third."""

    class Blank(torch.nn.Module):
        def forward(self, inputs: GeneratorInput) -> torch.Tensor:
            return torch.zeros(len(inputs), 1, SIDE, SIDE)

    client = ClientLabels("a", (spotted(60, 60, 20, 30),), 3, 0)
    settings = BundleSettings(1, 1, SIDE, "none", 1, seed=0, foreground=1.0)
    drawn = draw_for(Blank(), client, settings, 2000)
    share = np.mean([each > 0 for each in drawn.label_maps])
    assert 0.008 < share < 0.018  # the middle is in more windows than the border


def test_without_masks_no_window_is_placed() -> None:
    config = resolve("data.condition=none data.foreground_windows=0.5 model=mlp downstream=none")
    assert bundle_settings(config).foreground == 0
