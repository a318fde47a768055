"""Objects that cross as one label map: what a generator draws them from, and what a dense model learns them by.

It tells background, bodies, crossings and centre lines apart, so that a generator sees which line goes on where, and
a pair of image and label map is all that leaves a node, or that is drawn.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.centre_lines import centre_line, draw
from flower_dgan.data.object_masks import Bits, ObjectMasks, Region
from flower_dgan.data.pairs import Pixels

GROUND, BODY, CROSSING, LINE = range(4)
CLASSES: Sequence[str] = ("background", "body", "crossing", "centre line")
Shape = Literal["long", "round"]
_LINE_POINTS = 64
_TWO_WIDE = np.ones((2, 2), bool)
_CORE = 0.5  # of the largest distance from the outline, from which on a pixel is in the middle of a round object
_SLIM = 3.0  # times the area of the largest disc in it, that a long object has: a rod 2.4 times as long as wide


def class_map(objects: ObjectMasks, shape: Shape = "long") -> Pixels:
    """Draw the class map of an image's objects.

    Parameters
    ----------
    objects : ObjectMasks
        In the size in which the map is wanted: thin lines do not survive that a map is made smaller.
    shape : {"long", "round"}
        Round objects, as nuclei, have no line that one could be told by: in its place is their middle, the pixels that
        are at least half as far from the outline as the farthest. Of objects that touch these lie apart.

    Returns
    -------
    uint8 array (height, width)
        0 background, 1 body, 2 where several objects lie, with the pixels beside, 3 centre line, two pixels wide, or
        middle. A crossing lies over the lines: which object goes on where, the lines that lead into it say. Areas that
        are crowds are body alone, and an object in one does not cross it.
    """
    inside = objects.depth() > 0
    told_apart = objects.without_crowds()
    drawn = np.where(inside, BODY, GROUND).astype(np.uint8)
    if shape == "round":
        for region in told_apart.regions:
            drawn[region.window][_middle(region)] = LINE
    else:
        lines = np.zeros(inside.shape, dtype=bool)
        for region in told_apart.regions:
            lines |= draw(centre_line(region, _LINE_POINTS), inside.shape)
        drawn[ndimage.binary_dilation(lines, _TWO_WIDE) & inside] = LINE
    drawn[ndimage.binary_dilation(told_apart.depth() > 1) & inside] = CROSSING
    return drawn


def shape_of(images: Sequence[ObjectMasks]) -> Shape:
    """Say whether most objects of some images are long and thin, or round; those without any are long."""
    slimness = []
    for region in (region for objects in images for region in objects.without_crowds().regions):
        widest = float(ndimage.distance_transform_edt(np.pad(region.pixels, 1)).max())
        slimness.append(region.area / (np.pi * widest**2))
    return "round" if slimness and float(np.median(slimness)) < _SLIM else "long"


def _middle(region: Region) -> Bits:
    """Return the middle of an object, in its box: one piece, and less than the object where that has a pixel inside."""
    inside = ndimage.distance_transform_edt(np.pad(region.pixels, 1))[1:-1, 1:-1]
    farthest = inside.max()
    pieces, _ = ndimage.label(inside >= max(_CORE * farthest, min(farthest, 2.0)), np.ones((3, 3)))
    middle: Bits = pieces == pieces.flat[inside.argmax()]
    return middle
