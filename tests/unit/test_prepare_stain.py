"""Stain normalisation."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.stain import stain_normalizer
from flower_dgan.errors import DataError
from tests.pairs import make_folder


def tissue(colour: tuple[int, int, int], seed: int = 0, spread: int = 12) -> NDArray[np.uint8]:
    """Return noise of a few levels around a colour, far from the ends of the range."""
    return (np.array(colour) + np.random.default_rng(seed).integers(-spread, spread + 1, (32, 32, 3))).astype(np.uint8)


def in_lab(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIE L*a*b* by Pillow's colour management, each channel in 0 to 255."""
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    found = ImageCms.applyTransform(Image.fromarray(image), transform)
    assert found is not None
    # a and b are signed bytes around 0
    return (np.asarray(found).astype(np.uint8) + np.array([0, 128, 128], np.uint8)).astype(float)


def save(image: NDArray[np.uint8], path: Path) -> Path:
    Image.fromarray(image).save(path)
    return path


def test_colours_become_those_of_the_reference(tmp_path: Path) -> None:
    reference, other = tissue((200, 120, 160)), tissue((120, 150, 180), seed=1, spread=30)
    normalize = stain_normalizer(save(reference, tmp_path / "reference.png"))
    # values are cut off to whole levels
    np.testing.assert_allclose(normalize(reference, "reference"), reference, atol=1.01)
    wanted, found = (in_lab(image) for image in (reference, normalize(other, "other")))
    np.testing.assert_allclose(found.mean((0, 1)), wanted.mean((0, 1)), atol=1)
    np.testing.assert_allclose(found.std((0, 1)), wanted.std((0, 1)), rtol=0.1)


def test_prepared_images_have_the_colours_of_the_reference(tmp_path: Path) -> None:
    reference = save(tissue((200, 120, 160)), tmp_path / "reference.png")
    original = make_folder(tmp_path / "data", sites=1, images=1)
    prepare("folder", original, tmp_path / "new", PrepareSettings(stain_reference=str(reference)))
    for path in (tmp_path / "new/images").iterdir():
        found = np.asarray(Image.open(path)).astype(float)
        np.testing.assert_allclose(found.mean((0, 1)), [200, 120, 160], atol=3)
    masks = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "new/masks").iterdir())]
    wanted = [np.asarray(Image.open(path)) for path in sorted((original / "masks").iterdir())]
    np.testing.assert_array_equal(masks, wanted)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (tissue((9, 9, 99))[..., 0], "no colour image"),
        (np.full((4, 4, 3), 7, np.uint8), "of one colour"),
    ],
)
def test_what_has_no_stain_is_named(image: NDArray[np.uint8], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"reference.png is {reason}"):
        stain_normalizer(save(image, tmp_path / "reference.png"))
    normalize = stain_normalizer(save(tissue((200, 120, 160)), tmp_path / "good.png"))
    with pytest.raises(DataError, match=f"slide 3 is {reason}"):
        normalize(image, "slide 3")


def test_a_reference_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.png"):
        stain_normalizer(tmp_path / "missing.png")
