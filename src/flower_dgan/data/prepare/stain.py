"""Stain normalisation: the colours of every image of a stained tissue become those of one reference image."""

from collections.abc import Callable
from pathlib import Path

from flower_dgan.data.pairs import Pixels
from flower_dgan.data.prepare.files import read_samples
from flower_dgan.data.prepare.requirements import require
from flower_dgan.errors import DataError


def stain_normalizer(reference: Path) -> Callable[[Pixels, str], Pixels]:
    """Return what gives an image mean and standard deviation of a reference image, channel by channel in CIE L*a*b*.

    E. Reinhard et al., "Color transfer between images", IEEE Computer Graphics and Applications 21(5), 2001, by
    torchstain, which has CIE L*a*b* in the place of the paper's l-alpha-beta. Colours beyond those of RGB are clipped.

    Parameters
    ----------
    reference : Path
        An image of 8 bits and three channels.

    Returns
    -------
    callable
        Takes a uint8 image (height, width, 3) and what to call it in an error, and returns the image with other
        colours; raises DataError if it is grey or of one colour.

    Raises
    ------
    ConfigError
        If torchstain is not installed.
    DataError
        If the reference cannot be read, or is grey, of one colour or of more than 8 bits.
    """
    normalizers = require("torchstain", "stain", "--stain-reference").normalizers
    image = read_samples(reference)
    if image.dtype != "uint8":
        raise DataError(f"{reference} holds {image.dtype}: give a reference of 8 bits a channel.")
    _check(image, str(reference))  # type: ignore[arg-type]
    normalizer = normalizers.ReinhardNormalizer(backend="numpy")
    normalizer.fit(image)

    def normalize(pixels: Pixels, source: str) -> Pixels:
        _check(pixels, source)
        normalized: Pixels = normalizer.normalize(pixels)
        return normalized

    return normalize


def _check(image: Pixels, source: str) -> None:
    if image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"{source} is no colour image, so it has no stain: leave --stain-reference out.")
    if (image == image[0, 0]).all():
        raise DataError(f"{source} is of one colour, so there is nothing to normalise: remove it.")
