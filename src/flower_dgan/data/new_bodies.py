"""Bodies that nobody saw: a centre line and the width along it, each between those of two given objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from scipy.spatial import cKDTree  # type: ignore[import-untyped]

from flower_dgan.data.centre_lines import POINTS, centre_line, evenly, is_closed, length
from flower_dgan.data.object_masks import Bits, Region, region_of

_TRIES = 50
_LEAST_SLIM = 2  # times as long as wide
_LEAST_SHOWN = 0.85  # of the area of a straight body as long and wide, so that one which lies over itself is drawn anew


@dataclass(frozen=True, eq=False)
class BodyShape:
    """A body without place and direction, by points at even distances along its centre line.

    Attributes
    ----------
    length : float
        Of the line, in pixels.
    turns : float array (points - 2,)
        By how much it turns at each point between its ends, in radians.
    half_widths : float array (points,)
        From the line to the outline, in pixels.
    """

    length: float
    turns: NDArray[np.float64]
    half_widths: NDArray[np.float64]


def body_shape(region: Region) -> BodyShape | None:
    """Measure a body; None for one that has no centre line from end to end, as a disc or a coil."""
    line = centre_line(region, POINTS)
    mask = np.pad(region.pixels, 1)
    places = np.rint(line - (region.top - 1, region.left - 1)).astype(int)
    half_widths = np.maximum(ndimage.distance_transform_edt(mask)[tuple(places.T)] - 0.5, 0.5)
    long = length(line)
    if is_closed(line) or long < _LEAST_SLIM * 2 * half_widths.max():
        return None
    steps = np.diff(line, axis=0)
    turns = np.diff(np.unwrap(np.arctan2(steps[:, 0], steps[:, 1])))
    # Distances between pixels are a little less than those to an outline between them, and the area knows by how much.
    wider = region.area / np.count_nonzero(draw_body(line, half_widths))
    return BodyShape(long, turns, half_widths * wider)


def new_body(shapes: Sequence[BodyShape], rng: np.random.Generator) -> Bits:
    """Return a body between two given ones; one that lies over itself is drawn anew, at last without a turn."""
    for number in range(_TRIES + 1):
        one, other = (shapes[int(index)] for index in rng.integers(len(shapes), size=2))
        share = float(rng.random())
        sides = rng.choice((-1.0, 1.0), size=2) * (number < _TRIES)
        turns = share * sides[0] * one.turns + (1 - share) * sides[1] * other.turns
        long = share * one.length + (1 - share) * other.length
        half_widths = share * one.half_widths + (1 - share) * other.half_widths
        mask = draw_body(_line(turns, long), half_widths)
        if np.count_nonzero(mask) >= _LEAST_SHOWN * 2 * half_widths.mean() * long:
            break
    return mask


def _line(turns: NDArray[np.float64], long: float) -> NDArray[np.float64]:
    """Return a line (points, 2) of so many pixels that begins at (0, 0), by its turns at the points in radians."""
    headings = np.append(0, np.cumsum(turns))
    steps = np.stack([np.sin(headings), np.cos(headings)], axis=1) * long / len(headings)
    return np.vstack([np.zeros(2), np.cumsum(steps, axis=0)])


def draw_body(line: NDArray[np.float64], half_widths: NDArray[np.float64]) -> Bits:
    """Draw a body along a centre line.

    Parameters
    ----------
    line : float array (points, 2)
        Row and column of each point, in pixels, anywhere.
    half_widths : float array (points,)
        How far the body reaches from each point, in pixels; between points it changes evenly.

    Returns
    -------
    bool array (rows, columns)
        The pixels no farther from the nearest point of the line than its half width, without what is empty around them.
    """
    fine = max(2, 2 * int(np.ceil(length(line))))
    points = evenly(line, fine)
    reach = np.interp(np.linspace(0, 1, fine), np.linspace(0, 1, len(half_widths)), half_widths)
    points = points - np.floor(points.min(0)) + np.ceil(reach.max()) + 1
    rows, columns = (np.ceil(points.max(0)) + np.ceil(reach.max()) + 2).astype(int)
    distance, nearest = cKDTree(points).query(np.argwhere(np.ones((rows, columns), dtype=bool)))
    return region_of((distance <= reach[nearest]).reshape(rows, columns)).pixels
