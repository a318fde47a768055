"""The centre line of an object: the longest way along its skeleton, and on to its tips."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import dijkstra  # type: ignore[import-untyped]
from skimage.morphology import skeletonize

from flower_dgan.data.object_masks import Bits, Line, Region

POINTS = 16
"""Of a line where it is written down: enough to draw a nematode's mask from line and width again at IoU 0.5."""
_TOUCHING = np.ones((3, 3), bool)
_REACH = 6  # points from an end by which it is known where the line leads
_FARTHEST_TIP = 12  # pixels from a skeleton's end to the outline


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
        Row and column in the image, in pixels, from one end to the other. An object of one pixel has all of them there.
    """
    pieces, count = ndimage.label(np.pad(region.pixels, 1), _TOUCHING)
    whole: Bits = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if count > 1 else pieces > 0
    thin: Bits = skeletonize(whole)  # type: ignore[no-untyped-call]
    pixels = np.argwhere(thin if thin.any() else whole)
    line = longest_way(pixels)
    if len(line) > 2:
        line = np.vstack([_to_tip(line, whole), line, _to_tip(line[::-1], whole)[::-1]])
    line = line + np.array([region.top - 1, region.left - 1])
    return evenly(line, points)


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


def _to_tip(line: Line, whole: Bits) -> Line:
    """Return the points from the outline to the first of a line, as it leads on straight from there."""
    step = line[0] - line[min(_REACH, len(line) - 1)]
    step = step / max(np.hypot(*step), 1e-9)
    beyond = [line[0] + number * step for number in range(1, _FARTHEST_TIP + 1)]
    on = []
    for point in beyond:
        row, column = np.clip(np.rint(point).astype(int), 0, np.array(whole.shape) - 1)
        if not whole[row, column]:
            break
        on.append(point)
    return np.array(on[::-1]).reshape(-1, 2)
