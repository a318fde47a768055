"""One view of one image or label map: a window that is cut out, mirrored and turned; and the colours of an image."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.data.pairs import Pixels

STRONGEST_COLOURS = (20, 20, 20, 5)
"""Largest change of brightness, contrast, saturation and hue, up or down, in percent."""

# The corners of a turned square lie within a square that is larger by this share on each side.
_CORNERS = (math.sqrt(2) - 1) / 2


def cut_window(array: Pixels, place: Sequence[int], side: int, resampling: Image.Resampling) -> Pixels:
    """Cut a square window out of an image or label map, mirror and turn it.

    By quarters it is turned exactly. By another angle it is turned about its centre together with its surroundings, so
    that its corners hold what lies there; beyond its border the image goes on as its own reflection.

    Parameters
    ----------
    array : uint8 array (height, width) or (height, width, channels)
        Of any number of channels.
    place : sequence of four int
        Top and left in pixels, mirror (0 or 1: left-right), and angle in degrees (0 .. 359: counter-clockwise), in
        this order; the window without its surroundings lies in the image.
    side : int
        Of the window in pixels.
    resampling : Image.Resampling
        For angles between the quarters.

    Returns
    -------
    uint8 array (side, side) or (side, side, channels)
        It may share memory with ``array``.
    """
    top, left, mirror, angle = place
    quarters, degrees = divmod(angle, 90)
    margin = math.ceil(side * _CORNERS) if degrees else 0
    window = _surroundings(array, top - margin, left - margin, side + 2 * margin)
    if mirror:
        window = window[:, ::-1]
    if degrees:
        window = _turned(window, degrees, resampling)[margin:-margin, margin:-margin]
    return np.rot90(window, quarters)


def change_colours(image: Pixels, colours: Sequence[int]) -> Pixels:
    """Change the colours of an image, as torchvision does with images of Pillow's.

    Brightness, contrast and saturation blend with black, the mean grey and the grey image; what leaves 0 .. 255 becomes
    0 or 255. A hue other than 0 is shifted in 8-bit HSV, which rounds. Grey images have neither saturation nor hue.

    Parameters
    ----------
    image : uint8 array (height, width, channels)
        Of 1 or 3 channels.
    colours : sequence of four int
        Brightness, contrast, saturation: percent more, or less if negative. Hue: percent of the circle.

    Returns
    -------
    uint8 array (height, width, channels)
    """
    # Imported here: torch takes seconds and half a gigabyte, and whoever prepares data changes no colours.
    import torchvision.transforms.functional as F  # type: ignore[import-untyped]

    *strengths, hue = colours
    picture = _picture(image)
    for adjust, percent in zip((F.adjust_brightness, F.adjust_contrast, F.adjust_saturation), strengths, strict=True):
        picture = adjust(picture, 1 + percent / 100)
    if hue:
        picture = F.adjust_hue(picture, hue / 100)
    return _pixels(picture, image.shape)


def _turned(array: Pixels, degrees: int, resampling: Image.Resampling) -> Pixels:
    """Turn about the centre; channels that are no picture one by one, as Pillow takes two or four for transparency."""
    if array.ndim == 3 and array.shape[2] not in (1, 3):
        return np.stack([_turned(channel, degrees, resampling) for channel in np.moveaxis(array, 2, 0)], axis=2)
    return _pixels(_picture(array).rotate(degrees, resampling), array.shape)


def _surroundings(array: Pixels, top: int, left: int, side: int) -> Pixels:
    """Cut out a square that may leave the image, which goes on as its reflection: c b a | a b c | c b a."""
    height, width = array.shape[:2]
    if min(top, left) >= 0 and top + side <= height and left + side <= width:
        return array[top : top + side, left : left + side]
    rows, columns = _reflected(top, side, height), _reflected(left, side, width)
    return array[rows[:, None], columns]


def _reflected(start: int, count: int, length: int) -> NDArray[np.int64]:
    places = np.arange(start, start + count) % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)


def _picture(array: Pixels) -> Image.Image:
    return Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)


def _pixels(picture: Image.Image, shape: tuple[int, ...]) -> Pixels:
    return np.asarray(picture).reshape(shape)
