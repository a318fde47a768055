"""Copies of training images among synthetic ones: distances by hand, the statistic by counting, and planted copies."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.comparison.copies import COPIED, copying, draw_nearest, held_out_windows, nearest
from flower_dgan.data import open_source
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve
from tests.pairs import make_folder


def line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_nearest_training_image() -> None:
    found = nearest(line(0.0, 4.0, 9.0)[:, None], line(5.0, 1.0)[:, None])
    assert found.distances.tolist() == [1, 1, 4]
    assert found.indices.tolist() == [1, 0, 0]


def test_a_training_image_itself_is_at_distance_0() -> None:
    features = torch.randn(50, 256, generator=torch.Generator().manual_seed(0)) * 100
    assert nearest(features, features).distances.tolist() == [0] * 50


@pytest.mark.parametrize("images", [torch.zeros(0, 2), torch.tensor([[0.0, torch.nan]])])
def test_no_neighbours_of_nothing(images: Tensor) -> None:
    with pytest.raises(DataError):
        nearest(images, torch.zeros(1, 2))


def test_the_statistic_by_counting() -> None:
    """Of the six pairs the synthetic image is farther off in 1 and as far in 1: 1.5 where 3 are expected.

    The standard deviation is (2 * 3 * 6 / 12)^(1/2).
    """
    assert copying(line(1.0, 3.0), line(2.0, 3.0, 4.0)) == pytest.approx((1.5 - 3) / 3**0.5)


def test_where_both_are_drawn_alike_the_statistic_is_about_normal() -> None:
    draw = np.random.default_rng(0)
    found = [copying(*(torch.from_numpy(draw.exponential(size=size)) for size in (40, 70))) for _ in range(500)]
    assert np.mean(found) == pytest.approx(0, abs=0.15)
    assert np.std(found) == pytest.approx(1, abs=0.1)


def test_only_test_images_of_sites_that_are_trained_on_tell_how_near_is_too_near(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", sites=2)
    config = resolve(f"data=folder data.root={root} data.image_size=32")
    source = open_source(config.data)
    known = {entry.site for entry in source.train}
    expected = sum(entry.site in known for entry in source.test)
    assert len(held_out_windows(source, 32)) >= expected > 0
    for entry in source.test:
        object.__setattr__(entry, "site", "elsewhere")
    with pytest.raises(DataError, match="No test image is of a site"):
        held_out_windows(source, 32)


def test_the_picture_shows_the_nearest_ones(tmp_path: Path) -> None:
    images = [np.full((4, 4, 1), value, np.uint8) for value in (0, 80, 160, 240)]
    features = line(0.0, 80.0, 160.0, 240.0)[:, None]
    path = tmp_path / "sheet.png"
    draw_nearest(path, images, images[::-1], nearest(features, features.flip(0)), line(1.0, 2.0))
    assert Image.open(path).format == "PNG"


def test_planted_copies_are_seen_and_new_images_are_not(tmp_path: Path) -> None:
    """The digits of the training split as if drawn, and those of the test split as if drawn."""
    source = open_source(resolve("data=digits data.image_size=16").data)
    for name, entries in (("copied", source.train[:200]), ("new", source.test[:200])):
        (tmp_path / name / "images").mkdir(parents=True)
        for number, image in enumerate(source.load(entries).images):
            Image.fromarray(image[..., 0]).save(tmp_path / name / "images" / f"{number}.png")
    sheet, figures = tmp_path / "sheet.png", tmp_path / "figures.json"
    given = ["compare", "digits", str(tmp_path / "copied"), str(tmp_path / "new"), "--copies", str(sheet)]
    given += [
        "--metric",
        "fid-segmenter-256-n100",
        "--json",
        str(figures),
        "--overrides",
        "data.image_size=16 downstream.steps=2",
    ]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())["copying"]
    assert found[str(tmp_path / "copied")] < 3 * COPIED
    assert found[str(tmp_path / "new")] > COPIED
    assert f"{found[str(tmp_path / 'new')]:+.1f}" in result.output
    assert sheet.is_file()
