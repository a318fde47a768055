"""New layouts of whole objects that may cross: given bodies, turned and put down anywhere, or new bodies.

Label maps of a set of any size are drawn from them, and its objects are known, each whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped]
from skimage.morphology import convex_hull_image

from flower_dgan.data.new_bodies import body_shape, new_body
from flower_dgan.data.object_masks import Bits, ObjectMasks, Region, region_of
from flower_dgan.errors import DataError

Bodies = Literal["whole", "new"]
_PLACES = 50
_MISSES = 20


def new_layouts(images: Sequence[ObjectMasks], count: int, seed: int, bodies: Bodies) -> Iterator[ObjectMasks]:
    """Put objects together anew, so that they may lie over each other.

    Each layout has the size of a given image, and objects of about its area in all. They lie anywhere in the convex
    hull of all objects of images of that size, as the round floor of a well, mirrored and turned by any angle.

    Parameters
    ----------
    images : sequence of ObjectMasks
        True objects of images. Crowds are left out, and so are those that an edge cuts off, of which nobody knows the
        rest.
    count : int
        How many layouts to make.
    seed : int
        Of all draws.
    bodies : {"whole", "new"}
        ``whole``: the given objects as they are. ``new``: bodies that nobody saw, each between two given ones in
        length, turns of the centre line and width along it; of objects whose centre line has two ends.

    Raises
    ------
    DataError
        If there is no such object; before any is made.
    """
    rng = np.random.default_rng(seed)
    given = [each.without_crowds() for each in images]
    whole = [region for each in given for region in each.regions if _inside(region, each)]
    if not whole:
        raise DataError("No object lies whole in its image, away from the edges: there is nothing to put together.")
    shapes = [shape for shape in map(body_shape, whole) if shape is not None] if bodies == "new" else []
    if bodies == "new" and not shapes:
        raise DataError(
            "No object is long and thin, with a centre line from one end to the other: new bodies are made from such "
            "ones. Put the given ones together as they are."
        )
    floors = _floors(given)
    wanted = [sum(region.area for region in each.regions) for each in given]

    def body() -> Bits:
        if not shapes:
            return whole[int(rng.integers(len(whole)))].pixels
        return new_body(shapes, rng)

    def layout(which: int) -> ObjectMasks:
        size = given[which].height, given[which].width
        found: list[Region] = []
        left, misses = wanted[which], 0
        while misses < _MISSES:
            mask = _turned(body(), rng)
            area = int(np.count_nonzero(mask))
            placed = _placed(mask, floors[size], rng) if abs(left - area) < left else None
            if placed is None:
                misses += 1
            else:
                found.append(placed)
                left -= area
        return ObjectMasks(*size, tuple(found))

    return (layout(which) for which in rng.integers(len(given), size=count).tolist())


def _inside(region: Region, image: ObjectMasks) -> bool:
    rows, columns = region.window
    return bool(min(rows.start, columns.start, image.height - rows.stop, image.width - columns.stop) > 0)


def _floors(images: Sequence[ObjectMasks]) -> Mapping[tuple[int, int], Bits]:
    """Return where objects may lie, bool (height, width), for each size of an image."""
    covered: dict[tuple[int, int], Bits] = {}
    for each in images:
        size = each.height, each.width
        covered[size] = covered.get(size, np.zeros(size, dtype=bool)) | (each.depth() > 0)
    return {size: _hull(each) for size, each in covered.items()}


def _hull(covered: Bits) -> Bits:
    if np.linalg.matrix_rank(np.argwhere(covered) - np.argwhere(covered).mean(0)) < 2:
        return covered  # none, or on a line, which is its own
    hull: Bits = convex_hull_image(covered)  # type: ignore[no-untyped-call]
    return hull | covered


def _turned(mask: Bits, rng: np.random.Generator) -> Bits:
    """Return a mask (rows, columns) mirrored or not, and turned, without what is empty around it."""
    mirrored = mask[:, ::-1] if rng.random() < 0.5 else mask
    angle = float(rng.uniform(0, 360))
    turned: Bits = ndimage.rotate(np.pad(mirrored, 1).astype(np.float32), angle, order=1) >= 0.5
    return region_of(turned if turned.any() else mirrored).pixels


def _placed(mask: Bits, floor: Bits, rng: np.random.Generator) -> Region | None:
    """Return a mask at a place where all of it lies on the floor; None if no such place is found."""
    room = np.array(floor.shape) - mask.shape
    if (room < 0).any():
        return None
    for _ in range(_PLACES):
        top, left = rng.integers(0, room + 1).tolist()
        found = Region(top, left, mask)
        if floor[found.window][mask].all():
            return found
    return None
