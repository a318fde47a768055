"""From an original's own pixels to those that are written: channels, range, size and tiles."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.config.data_settings import MOST_CHANNELS
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.picture_windows import whole
from flower_dgan.data.prepare.numbers import require_finite
from flower_dgan.data.prepare.original import OriginalPair, PrepareSettings, Samples
from flower_dgan.data.prepare.tiles import cut, places, tile_of
from flower_dgan.errors import DataError

_BLOCK = 2**18  # values at a time


def pieces(
    pair: OriginalPair,
    settings: PrepareSettings,
    binary: bool,
    source: str,
    normalize: Callable[[Pixels, str], Pixels] | None = None,
) -> Iterator[tuple[str, OriginalPair, int]]:
    """Take the channels, the range, the size and the tiles of a pair that are wanted.

    Tiles are fetched one by one, so that little of a large image is in memory beside what it is read from; but all of
    it where ``normalize`` looks at all of it.

    Parameters
    ----------
    pair : OriginalPair
        As read.
    settings : PrepareSettings
        How to write it.
    binary : bool
        Whether masks become 0 and 255; otherwise they keep class ids.
    source : str
        What to call the pair in an error.
    normalize : callable or None
        What gives a whole image other colours, if anything does.

    Yields
    ------
    name : str
        ``<top>-<left>`` of a tile in pixels; empty for a whole image.
    piece : OriginalPair
        The image uint8 (height, width) or (height, width, channels).
    beyond : int
        How many of its values were beyond the range, without those that an earlier piece has too.

    Raises
    ------
    DataError
        If mask and image do not fit each other, or the settings do not fit the image.
    """
    _require_fit(pair, settings, source)
    if settings.value_range is None and pair.highest is not None:
        settings = replace(settings, value_range=(0, pair.highest))
    if settings.tile is None or normalize is not None:
        scaled, beyond = _scaled(replace(pair, image=whole(pair.image)), settings, binary, source)
        if normalize is not None:
            scaled = replace(scaled, image=normalize(whole(scaled.image), source))
        for name, piece in cut(scaled, settings.tile, settings.stride):
            yield name, piece, beyond
            beyond = 0
        return
    for place, (rows, columns) in places(pair, settings.tile, settings.stride):
        name, piece = tile_of(pair, place, settings.tile)
        scaled, beyond = _scaled(piece, settings, binary, source, place)
        if beyond and (rows or columns):  # which the tiles before have counted
            new = replace(piece, image=whole(piece.image)[rows:, columns:])
            beyond = to_uint8(_channels(new, settings), settings.value_range, source)[1]
        yield name, scaled, beyond


def to_uint8(
    image: Samples, value_range: tuple[float, float] | None, source: str, origin: tuple[int, int] = (0, 0)
) -> tuple[Pixels, int]:
    """Scale an image linearly to 0 .. 255.

    Parameters
    ----------
    image : array
        Of any shape.
    value_range : (float, float) or None
        What becomes 0 and 255; None for uint8 images as they are, and for integers the whole range of their type.
    source : str
        What to call the image in an error.
    origin : (int, int)
        Row and column in the source of the first pixel.

    Returns
    -------
    pixels : uint8 array
        ``(value - low) / (high - low) * 255``, rounded; values beyond the range become 0 and 255.
    beyond : int
        How many values were beyond the range.

    Raises
    ------
    DataError
        If a value is not finite, or no range is known.
    """
    if image.dtype == np.uint8 and value_range is None:
        return image.astype(np.uint8), 0
    if value_range is None:
        if not np.issubdtype(image.dtype, np.unsignedinteger):
            raise DataError(f"{source} holds {image.dtype}, whose range is unknown: give --range low high.")
        value_range = (0, 2.0 ** (8 * image.dtype.itemsize) - 1)
    require_finite(image, source, origin)
    low, high = value_range
    pixels, beyond = np.empty(image.shape, np.uint8), 0
    rows = max(1, _BLOCK * len(image) // image.size)
    for top in range(0, len(image), rows):  # in float64, which takes eight bytes a value
        block = image[top : top + rows].astype(np.float64)
        clipped = np.clip(block, low, high)
        beyond += int((clipped != block).sum())
        pixels[top : top + rows] = np.rint((clipped - low) / (high - low) * 255)
    return pixels, beyond


def _require_fit(pair: OriginalPair, settings: PrepareSettings, source: str) -> None:
    """Raise DataError if an image does not fit its mask, the tiles or the bands."""
    height, width, *rest = pair.image.shape
    channels = rest[0] if rest else 1
    for name, labels in (("mask", pair.mask), ("instances", pair.instances)):
        if labels is not None and labels.shape != (height, width):
            shape = " x ".join(map(str, labels.shape))
            raise DataError(
                f"{source}: the image is {height} x {width} pixels (height x width), but its {name} {shape}."
            )
    if settings.tile is not None and min(height, width) < settings.tile:
        raise DataError(f"{source} is {height} x {width} pixels, less than --tile {settings.tile}: give a smaller one.")
    if settings.bands and max(settings.bands) > channels:
        raise DataError(f"{source} has {channels} channels: there is no --band {max(settings.bands)}.")
    if (len(settings.bands) or channels) > MOST_CHANNELS:
        raise DataError(f"{source} has {channels} channels: choose {MOST_CHANNELS} of them at most with --band.")


def _scaled(
    pair: OriginalPair, settings: PrepareSettings, binary: bool, source: str, origin: tuple[int, int] = (0, 0)
) -> tuple[OriginalPair, int]:
    """Return a pair, or a tile of it from a row and column on, as it is written, and the values beyond the range."""
    image, beyond = to_uint8(_channels(pair, settings), settings.value_range, source, origin)
    mask = None if pair.mask is None else pair.mask * np.uint8(255 if binary else 1)
    if settings.size is None:
        return OriginalPair(image, mask, pair.instances, objects=pair.objects), beyond
    image = _resized(image, settings.size, Image.Resampling.LANCZOS)
    mask = None if mask is None else _resized(mask, settings.size, Image.Resampling.NEAREST)
    objects = pair.instances
    objects = None if objects is None else _resized(objects, settings.size, Image.Resampling.NEAREST)
    return OriginalPair(image, mask, objects), beyond


def _channels(pair: OriginalPair, settings: PrepareSettings) -> Samples:
    """Return the chosen channels of an image."""
    image: Samples = whole(pair.image)
    image = image[..., None] if image.ndim == 2 else image
    if settings.bands:
        image = image[..., [band - 1 for band in settings.bands]]
    return image[..., 0] if image.shape[2] == 1 else image


def _resized(array: NDArray[Any], side: int, resampling: Image.Resampling) -> NDArray[Any]:
    if array.ndim == 3:
        return np.stack([_resized(channel, side, resampling) for channel in np.moveaxis(array, 2, 0)], axis=2)
    height, width = array.shape[:2]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    picture = Image.fromarray(np.ascontiguousarray(array[top : top + square, left : left + square]))
    return np.asarray(picture.resize((side, side), resampling))
