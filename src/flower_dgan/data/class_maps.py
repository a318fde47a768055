"""Objects that cross as one label map: what a generator draws them from, and what a dense model learns them by.

It tells background, bodies, crossings and centre lines apart, so that a generator sees which line goes on where, and
a pair of image and label map is all that leaves a node, or that is drawn.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.centre_lines import centre_line, draw
from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.data.pairs import Pixels

GROUND, BODY, CROSSING, LINE = range(4)
CLASSES: Sequence[str] = ("background", "body", "crossing", "centre line")
_LINE_POINTS = 64
_TWO_WIDE = np.ones((2, 2), bool)


def class_map(objects: ObjectMasks) -> Pixels:
    """Draw the class map of an image's objects.

    Parameters
    ----------
    objects : ObjectMasks
        In the size in which the map is wanted: thin lines do not survive that a map is made smaller.

    Returns
    -------
    uint8 array (height, width)
        0 background, 1 body, 2 where several objects lie, with the pixels beside, 3 centre line, two pixels wide.
        A crossing lies over the lines: which object goes on where, the lines that lead into it say. Areas that are
        crowds are body alone, and an object in one does not cross it.
    """
    inside = objects.depth() > 0
    told_apart = objects.without_crowds()
    drawn = np.where(inside, BODY, GROUND).astype(np.uint8)
    lines = np.zeros(inside.shape, dtype=bool)
    for region in told_apart.regions:
        lines |= draw(centre_line(region, _LINE_POINTS), inside.shape)
    drawn[ndimage.binary_dilation(lines, _TWO_WIDE) & inside] = LINE
    drawn[ndimage.binary_dilation(told_apart.depth() > 1) & inside] = CROSSING
    return drawn
