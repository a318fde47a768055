"""The centre line of an object: the longest way along its skeleton, and on to its tips."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import dijkstra  # type: ignore[import-untyped]
from skimage.morphology import skeletonize

from flower_dgan.data.object_masks import Bits, Line, ObjectMasks, Region

POINTS = 16
"""Of a line where it is written down: enough to draw a nematode's mask from line and width again at IoU 0.5."""
_TOUCHING = np.ones((3, 3), bool)
_REACH = 6  # points from an end by which it is known where the line leads
_GAP = 3.0  # pixels between the ends of a line that goes all around


def centre_line(region: Region, points: int = POINTS) -> Line:
    """Return the centre line of an object.

    Parameters
    ----------
    region : Region
        Its mask; of several pieces the largest is taken.
    points : int
        How many points, at even distances along the line; at least 2.

    Returns
    -------
    float array (points, 2)
        Row and column in the image, in pixels, from one end to the other. Of an object whose skeleton is a dot, as a
        disc has it, it is the largest diameter; one of one pixel has all points there.
    """
    pieces, count = ndimage.label(np.pad(region.pixels, 1), _TOUCHING)
    whole: Bits = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if count > 1 else pieces > 0
    thin: Bits = skeletonize(whole)  # type: ignore[no-untyped-call]
    pixels = np.argwhere(thin if thin.any() else whole)
    line = longest_way(pixels)
    if len(line) <= 2:
        line = _largest_diameter(whole)
    elif not is_closed(line):
        line = to_tips(line, whole)
    line = line + np.array([region.top - 1, region.left - 1])
    return evenly(line, points)


def lines_of(objects: ObjectMasks, points: int = POINTS) -> list[Line]:
    """Return the centre line of each object, (points, 2): that which is known, otherwise that of its mask."""
    if objects.lines:
        return [evenly(line, points) for line in objects.lines]
    return [centre_line(region, points) for region in objects.regions]


def is_closed(line: Line) -> bool:
    """Return whether a line goes all around, so that it has no tips."""
    return bool(np.hypot(*(line[0] - line[-1])) < _GAP) and length(line) > 3 * _GAP


def to_tips(line: Line, mask: Bits) -> Line:
    """Let both ends of a line (points, 2) lead on straight to the outline of its mask (height, width)."""
    return np.vstack([_to_tip(line, mask), line, _to_tip(line[::-1], mask)[::-1]])


def longest_way(pixels: NDArray[np.integer[Any]]) -> Line:
    """Return the longest of the shortest ways between pixels of a thin piece, float (length, 2).

    A ring, which has no ends, is opened at one of its pixels: of a coiled object the line goes all around.

    Parameters
    ----------
    pixels : int array (n, 2)
        Row and column of each; those that touch, also at a corner, are connected. At least one.
    """
    if _is_ring(pixels):
        pixels = pixels[1:]
    nodes = {(row, column): index for index, (row, column) in enumerate(pixels.tolist())}
    edges = [
        (index, nodes[row + down, column + right], np.hypot(down, right))
        for (row, column), index in nodes.items()
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1))
        if (row + down, column + right) in nodes
    ]
    if not edges:
        return pixels[:1].astype(np.float64)
    starts, ends, lengths = zip(*edges, strict=True)
    graph = coo_array((lengths, (starts, ends)), shape=(len(pixels),) * 2).tocsr()
    far = dijkstra(graph, directed=False, indices=0)
    first = int(np.argmax(np.where(np.isfinite(far), far, -1)))
    far, back = dijkstra(graph, directed=False, indices=first, return_predecessors=True)
    way = [int(np.argmax(np.where(np.isfinite(far), far, -1)))]
    while way[-1] != first:
        way.append(int(back[way[-1]]))
    return pixels[way].astype(np.float64)


def _is_ring(pixels: NDArray[np.integer[Any]]) -> bool:
    """Return whether each pixel touches two others or more, and the piece encloses one that is none of its own."""
    low = pixels.min(0) - 1
    drawn = np.zeros(pixels.max(0) - low + 2, dtype=bool)
    drawn[tuple((pixels - low).T)] = True
    touching = ndimage.convolve(drawn.astype(int), _TOUCHING.astype(int), mode="constant")[drawn] - 1
    return bool((touching >= 2).all()) and bool((ndimage.binary_fill_holes(drawn) != drawn).any())


def length(line: Line) -> float:
    """Return the length of a line (points, 2) in pixels."""
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def evenly(line: Line, points: int) -> Line:
    """Return so many points at even distances along a line, its ends among them."""
    along = np.append(0, np.cumsum(np.hypot(*np.diff(line, axis=0).T)))
    at = np.linspace(0, along[-1], points)
    return np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1)


def draw(line: Line, shape: tuple[int, int]) -> Bits:
    """Return the pixels (height, width) of the image that a line passes."""
    points = evenly(line, max(2, 2 * int(np.ceil(length(line)))))
    places = np.rint(points).astype(int)
    inside = ((places >= 0) & (places < shape)).all(1)
    drawn = np.zeros(shape, dtype=bool)
    drawn[tuple(places[inside].T)] = True
    return drawn


def _largest_diameter(whole: Bits) -> Line:
    """Return the two pixels of a mask that are farthest from each other, of those that are so in 180 directions."""
    pixels = np.argwhere(whole & ~ndimage.binary_erosion(whole)).astype(np.float64)
    angles = np.linspace(0, np.pi, 180, endpoint=False)
    along = pixels @ np.stack([np.sin(angles), np.cos(angles)])
    widest = along[:, np.argmax(np.ptp(along, axis=0))]
    return pixels[[int(np.argmin(widest)), int(np.argmax(widest))]]


def _to_tip(line: Line, whole: Bits) -> Line:
    """Return the points from the outline to the first of a line, as it leads on straight from there."""
    step = line[0] - line[min(_REACH, len(line) - 1)]
    step = step / max(np.hypot(*step), 1e-9)
    point, on = line[0] + step, []
    while step.any() and _is_on(point, whole):
        on.append(point)
        point = point + step
    return np.array(on[::-1]).reshape(-1, 2)


def _is_on(point: NDArray[np.float64], whole: Bits) -> bool:
    place = np.rint(point).astype(int)
    return bool((place >= 0).all() and (place < whole.shape).all() and whole[tuple(place)])
