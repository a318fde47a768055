"""New label maps from given ones: objects grown or shrunk by a pixel, and put together anew in other places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.pairs import Pixels
from flower_dgan.errors import DataError

_CONNECTED = np.ones((3, 3), bool)  # diagonal neighbours belong together
_CROSS = ndimage.generate_binary_structure(2, 1)
_PLACES = 50
_MISSES = 20


@dataclass(frozen=True, eq=False)
class _Object:
    """Class ids of a connected object, and whether it touches first and last row, first and last column of its map."""

    pixels: Pixels
    edges: tuple[tuple[bool, bool], tuple[bool, bool]]


def edit_label_maps(label_maps: Sequence[Pixels], count: int, seed: int) -> Iterator[Pixels]:
    """Make label maps with the given ones' sizes, shares of foreground and objects.

    Each new one has the size of a given one and about its number of foreground pixels. It is filled with objects from
    all of them, whole and with the classes inside, each as it was or grown or shrunk by one pixel, at least one pixel
    of background apart. An object that is cut off by an edge lies at the same edge again, the others at none.

    Parameters
    ----------
    label_maps : sequence of uint8 arrays (height, width)
        Class ids; 0 is the background.
    count : int
        How many to make.
    seed : int
        Of all draws.

    Raises
    ------
    DataError
        If there is no object, or one is a whole label map; before any is made.
    """
    rng = np.random.default_rng(seed)
    objects = [each for label_map in label_maps for each in _objects(label_map)]
    if not objects:
        raise DataError("The label maps hold no foreground object: there is nothing to put together.")
    if any(each.pixels.all() and all(map(all, each.edges)) for each in objects):
        raise DataError("A label map is foreground from edge to edge: there is no object in it to put anywhere else.")
    return (_compose(objects, label_maps[given], rng) for given in rng.integers(len(label_maps), size=count))


def _objects(label_map: Pixels) -> Iterator[_Object]:
    found, _ = ndimage.label(label_map > 0, _CONNECTED)
    for number, window in enumerate(ndimage.find_objects(found), start=1):
        pixels = np.where(found[window] == number, label_map[window], np.uint8(0))
        (top, bottom), (left, right) = ((w.start == 0, w.stop == n) for w, n in zip(window, found.shape, strict=True))
        yield _Object(pixels, ((top, bottom), (left, right)))


def _compose(objects: Sequence[_Object], given: Pixels, rng: np.random.Generator) -> Pixels:
    """Choose objects while they bring a label map nearer to the given foreground pixels; place large ones first."""
    chosen: list[_Object] = []
    left, misses = np.count_nonzero(given), 0
    while misses < _MISSES:
        each = objects[int(rng.integers(len(objects)))]
        size = np.count_nonzero(each.pixels)
        if abs(left - size) < left:
            chosen.append(each)
            left -= size
        else:
            misses += 1
    made = np.zeros_like(given)
    for each in sorted(chosen, key=lambda each: -np.count_nonzero(each.pixels)):
        _place(made, each, rng)
    return made


def _place(made: Pixels, each: _Object, rng: np.random.Generator) -> None:
    """Put an object where it is apart from those that are there; leave it out if no such place is found."""
    near = ndimage.binary_dilation(made > 0, _CONNECTED)
    change = int(rng.integers(-1, 2))
    ranges = [
        _range(extent, room, edges)
        for extent, room, edges in zip(each.pixels.shape, made.shape, each.edges, strict=True)
    ]
    if not all(ranges):
        return
    for _ in range(_PLACES):
        row, column = (int(rng.integers(places.start, places.stop)) for places in ranges)
        window = np.s_[row : row + each.pixels.shape[0], column : column + each.pixels.shape[1]]
        if (near[window] & (each.pixels > 0)).any():
            continue
        alone = np.zeros_like(made)
        alone[window] = each.pixels
        alone = _changed(alone, change)
        if not (near & (alone > 0)).any():
            made[alone > 0] = alone[alone > 0]
            return


def _range(extent: int, room: int, edges: tuple[bool, bool]) -> range:
    """Return where an object may begin along one axis; nowhere if it does not fit."""
    first, last = edges
    if extent > room or (first and last and extent < room):
        return range(0)
    if first:
        return range(1)
    return range(room - extent, room - extent + 1) if last else range(1, room - extent)


def _changed(alone: Pixels, change: int) -> Pixels:
    """Grow an object by a pixel of the highest class beside it, or shrink it if no class is lost and it stays whole."""
    if change > 0:
        return np.where(alone > 0, alone, ndimage.grey_dilation(alone, footprint=_CROSS))
    if change < 0:
        kept = ndimage.binary_erosion(alone > 0, _CROSS, border_value=1)
        shrunk: Pixels = alone * kept
        if ndimage.label(kept, _CONNECTED)[1] == 1 and np.array_equal(np.unique(shrunk), np.unique(alone)):
            return shrunk
    return alone
