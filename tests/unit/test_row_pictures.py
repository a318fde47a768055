"""The test images that a model does worst and best on, as pictures: which, and what is where in them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from flower_dgan.data import Pairs
from flower_dgan.federation.row_pictures import write_row_pictures
from flower_dgan.resolve import resolve
from flower_dgan.tasks.overlays import show_errors


class Bright(nn.Module):
    """Finds class 1 where a pixel is brighter than the middle."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(images), images], dim=1)


def pairs(*bright: int) -> Pairs:
    """Return images of 32 x 32 whose first rows are bright, 16 of which are true."""
    images, maps = [], []
    for rows in bright:
        image, label_map = np.zeros((32, 32, 1), np.uint8), np.zeros((32, 32), np.uint8)
        image[:rows], label_map[:16] = 255, 1
        images.append(image)
        maps.append(label_map)
    return Pairs(tuple(images), tuple(maps), 2)


def test_the_worst_and_the_best_are_shown_with_their_figures(tmp_path: Path) -> None:
    """Of r bright rows and 16 true ones the Dice coefficient is 2 min(r, 16) / (r + 16): 8 rows 2/3, 4 rows 0.4."""
    config = resolve("downstream.metrics=[dice]").downstream
    found = write_row_pictures(tmp_path, config, "Real-k/a", Bright(), pairs(16, 4, 8, 12), 32)
    assert found is not None
    assert (found.row, found.metric) == ("Real-k/a", "dice")
    assert [(each.rank, each.figure) for each in found.pictures] == [
        ("worst 1", pytest.approx(0.4)),
        ("worst 2", pytest.approx(2 / 3)),
        ("best 1", pytest.approx(1.0)),
        ("best 2", pytest.approx(24 / 28)),
    ]
    assert sorted(tmp_path.rglob("*.png")) == sorted(tmp_path / each.file for each in found.pictures)
    with Image.open(tmp_path / found.pictures[0].file) as picture:
        levels = np.asarray(picture)
    assert levels.shape == (32, 32 + 4 + 32, 3)
    truth, result = levels[:, :32], levels[:, 36:]
    assert (truth[:4] == [127, 206, 185]).all()  # half of (255, 255, 255) and (0, 158, 115)
    assert (truth[4:16] == [0, 79, 57]).all()
    assert (result[:4] == truth[:4]).all()
    assert (result[4:16] == [127, 0, 0]).all()  # missed
    assert (levels[16:, :32] == 0).all()


def test_what_is_found_where_nothing_is_is_blue() -> None:
    image, true = np.zeros((1, 3, 1), np.uint8), np.array([[0, 1, 2]])
    assert show_errors(image, true, np.array([[2, 1, 1]])).tolist() == [[[43, 90, 116], [0, 79, 57], [127, 0, 0]]]


def test_of_many_images_some_are_looked_at(tmp_path: Path) -> None:
    config = resolve("downstream.metrics=[dice]").downstream
    many = pairs(*[16] * 96, *[4] * 96)
    found = write_row_pictures(tmp_path, config, "DGAN", Bright(), many, 32)
    assert found is not None
    assert [round(each.figure, 2) for each in found.pictures] == [0.4] * 3 + [1.0] * 3


def test_a_task_without_masks_has_none(tmp_path: Path) -> None:
    config = resolve("data=mnist data.root=. data.condition=class downstream=classification").downstream
    assert write_row_pictures(tmp_path, config, "DGAN", Bright(), pairs(16), 32) is None
    assert list(tmp_path.iterdir()) == []
