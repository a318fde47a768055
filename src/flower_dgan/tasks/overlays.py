"""Pictures of what was found: outlines and areas over the image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.array_files import to_picture
from flower_dgan.data.object_masks import Bits, ObjectMasks
from flower_dgan.data.pairs import Pixels

# Okabe and Ito's, which people who see few colours tell apart, without black.
COLOURS: NDArray[np.uint8] = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.uint8,
)
MISSED, RIGHT, EXTRA = (255, 0, 0), (0, 158, 115), (86, 180, 233)


def show_objects(image: Pixels, objects: ObjectMasks, red: Bits | None = None) -> Pixels:
    """Draw the outlines of objects over an image.

    Parameters
    ----------
    image : uint8 array (height, width, channels)
        Grey is shown as it is, and the first channel of what is neither grey nor RGB.
    objects : ObjectMasks
        In the size of the image; those that do not count are left out.
    red : bool array (objects,) or None
        Which are drawn in red, as they are missed.

    Returns
    -------
    uint8 array (height, width, 3)
        RGB.
    """
    picture = _rgb(image)
    for index in np.flatnonzero(objects.counted).tolist():
        region = objects.regions[index]
        outline = region.pixels & ~ndimage.binary_erosion(region.pixels)
        missed = red is not None and bool(red[index])
        picture[region.window][outline] = MISSED if missed else COLOURS[index % len(COLOURS)]
    return picture


def show_classes(image: Pixels, label_map: Pixels) -> Pixels:
    """Mix the colours of the foreground classes into an image, half and half; arguments and result as above."""
    picture = _rgb(image)
    for number in np.unique(label_map[label_map > 0]).tolist():
        area = label_map == number
        mixed = picture[area].astype(np.uint16) + COLOURS[(number - 1) % len(COLOURS)]
        picture[area] = (mixed // 2).astype(np.uint8)
    return picture


def show_errors(image: Pixels, true: NDArray[np.integer], found: NDArray[np.integer]) -> Pixels:
    """Mix into an image, half and half, green where a class was found, red where missed, blue where there is none.

    Parameters
    ----------
    image : uint8 array (height, width, channels)
        As for :func:`show_objects`.
    true, found : int array (height, width)
        Class ids, 0 for the background. One that was found as another counts as missed.

    Returns
    -------
    uint8 array (height, width, 3)
        RGB.
    """
    picture = _rgb(image)
    there = true > 0
    areas = (there & (true == found), RIGHT), (there & (true != found), MISSED), (~there & (found > 0), EXTRA)
    for area, colour in areas:
        picture[area] = ((picture[area].astype(np.uint16) + np.array(colour, np.uint16)) // 2).astype(np.uint8)
    return picture


def beside(pictures: Sequence[Pixels]) -> Pixels:
    """Put pictures of one size side by side, a white line of four pixels between them."""
    line = np.full((len(pictures[0]), 4, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, line)]
    return np.concatenate(parts[:-1], axis=1)


def _rgb(image: Pixels) -> Pixels:
    shown = to_picture(image if image.shape[2] == 3 else image[..., :1])
    return shown.copy() if shown.ndim == 3 else np.stack([shown] * 3, axis=-1)
