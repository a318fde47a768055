"""Files of data sets: images of any depth, and colours as labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE

from flower_dgan.data.array_files import ARRAY_SUFFIX, open_numbers
from flower_dgan.data.colours import parse_colour
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.picture_checks import (
    IMAGE_MODES,
    OTHER_COLOURS,
    check_colours,
    check_numbers,
    check_pages,
    check_side,
    has_more_bands,
    is_transparent,
    raw_modes,
    transparent,
)
from flower_dgan.data.picture_files import holds_tiff, opened
from flower_dgan.data.picture_windows import LoadedPicture, Windowed, row_blocks, whole
from flower_dgan.data.prepare.bands import open_bands
from flower_dgan.data.prepare.original import Samples
from flower_dgan.data.splits import some
from flower_dgan.data.upright import tiff_tags
from flower_dgan.errors import DataError
from flower_dgan.whole_file import no_file, require_file


def read_samples(path: Path) -> Samples:
    """Read an image with all its bits and channels, whole; as :func:`open_samples`."""
    samples: Samples = np.ascontiguousarray(whole(open_samples(path)))
    return samples


def open_samples(path: Path) -> Windowed:
    """Open an image with all its bits and channels: (height, width) or (height, width, channels).

    PNG, JPEG and TIFF with up to 8 bits a channel, and grey ones with 16, are read by Pillow; others, such as GeoTIFF
    with more bands, by rasterio; arrays by numpy. An alpha channel that is opaque throughout is dropped, another is a
    band in TIFF. All are turned as EXIF says, so that they lie as they are shown.

    Raises
    ------
    DataError
        If the file cannot be read, holds more than one frame or colours other than grey and RGB, or has a pixel that
        is not opaque (except in TIFF).
    ConfigError
        If it takes rasterio, which is not installed.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return open_numbers(path)
    try:
        with require_file(path).open("rb") as file, Image.open(file) as image:
            by_pillow = _suits_pillow(image)
    except Exception:  # Pillow's decoders raise almost anything on what they do not know.
        by_pillow = path.suffix.lower() not in (".tif", ".tiff") or no_file(path) is not None
    if not by_pillow:
        return open_bands(path)
    with opened(path) as image:
        check_side(image.height, image.width, path)
        check_pages(image, path)
        check_colours(image, path)
        check_numbers(image, path)
        if is_transparent(image):
            raise transparent(path, "on a background")
        wanted = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB"}.get(image.mode, image.mode)
        return LoadedPicture(image, wanted)


def highest_number(path: Path) -> int | None:
    """Return the highest number that a TIFF file of 9 to 15 bits a channel can hold, None for other files."""
    if not holds_tiff(path):
        return None
    bits = max(np.atleast_1d(tiff_tags(path).get(BITSPERSAMPLE, 1)).tolist())
    return 2**bits - 1 if 8 < bits < 16 else None


def _suits_pillow(image: Image.Image) -> bool:
    """Return whether Pillow is to read, or to refuse, an opened picture; otherwise it would lose bits or bands of it.

    In TIFF what is called transparency is as often a band of its own, such as near infrared, so that it is kept.
    """
    if image.mode.startswith("I;16") or image.mode in OTHER_COLOURS:
        return True
    deep = any("16" in mode or "32" in mode for mode in raw_modes(image))
    a_band = image.format == "TIFF" and (has_more_bands(image) or is_transparent(image))
    return image.mode in IMAGE_MODES and not deep and not a_band


def to_class_ids(colours: Windowed, palette: Sequence[str], nearest: bool, source: str) -> Pixels:
    """Turn colours into class ids.

    Parameters
    ----------
    colours : uint8 picture (height, width, 3)
        A picture of labels; fetched by windows.
    palette : sequence of str
        The colour of class 0, 1, ... as ``#rrggbb``.
    nearest : bool
        Whether other colours are taken for the nearest (Euclidean) of the palette.
    source : str
        What to call the picture in an error.

    Returns
    -------
    uint8 array (height, width)
        Class ids.

    Raises
    ------
    DataError
        If there are other colours, and ``nearest`` is not set.
    """
    known = np.array([parse_colour(text) for text in palette], dtype=np.int64)
    ids = np.empty(colours.shape[:2], np.uint8)
    for window in row_blocks(*ids.shape):
        ids[window] = _block_ids(colours[window], known, palette, nearest, source)
    return ids


def _block_ids(colours: Pixels, known: NDArray[np.int64], palette: Sequence[str], nearest: bool, source: str) -> Pixels:
    rgb = colours.astype(np.int64)
    codes, inverse = np.unique(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2], return_inverse=True)
    found = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    distances = ((found[:, None] - known[None]) ** 2).sum(-1)
    if not nearest and (distances.min(1) > 0).any():
        others = ["#" + bytes(colour).hex() for colour in found[distances.min(1) > 0].tolist()]
        raise DataError(
            f"{source} has the colours {some(others)}, and the classes {', '.join(palette)}: name all with --colour, "
            "or give --nearest-colour."
        )
    ids: Pixels = distances.argmin(1).astype(np.uint8)
    return ids[inverse].reshape(colours.shape[:2])
