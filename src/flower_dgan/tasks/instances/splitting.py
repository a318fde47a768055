"""From maps to round objects: each grows from its middle until it meets another, over the foreground.

The watershed from markers (Beucher and Meyer 1993, "The morphological approach to segmentation"). A middle is what the
model takes for one, or, without a head for middles, a place that is farthest from the outline of the foreground.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from flower_dgan.data import class_maps
from flower_dgan.data.object_masks import Bits, ObjectMasks, of_numbers
from flower_dgan.data.pairs import Pixels
from flower_dgan.tasks.instances.scale import Scale

Map = NDArray[np.float32]
_EIGHT = np.ones((3, 3), bool)
_BLOB = 0.05  # of the pixels of lines, that are left a pixel inside: lines are two pixels wide
_APART = 0.6  # radii between two places that are farthest from the outline
_SMALLEST = 0.1  # of the area of a usual object; what is smaller is a speck
_SMALLEST_MIDDLE = 0.01


def is_round(label_maps: Sequence[Pixels]) -> bool:
    """Return whether class maps, uint8 (height, width), are of round objects, with middles in place of lines."""
    lines = [drawn == class_maps.LINE for drawn in label_maps]
    left = sum(int(np.count_nonzero(ndimage.binary_erosion(each, _EIGHT))) for each in lines)
    return left > _BLOB * sum(int(np.count_nonzero(each)) for each in lines)


def measure_round(images: Sequence[ObjectMasks]) -> Scale | None:
    """Return how large round objects are, by their areas; None where there is none."""
    areas = [region.area for objects in images for region in objects.regions]
    if not areas:
        return None
    diameter = max(2.0, 2 * float(np.sqrt(np.median(areas) / np.pi)))
    return Scale(diameter, diameter / 2)


def split(foreground: Map, crossing: Map, middle: Map | None, scale: Scale | None, enlarged: int = 1) -> ObjectMasks:
    """Make round objects of the maps of an image.

    Parameters
    ----------
    foreground, crossing : float arrays (height, width)
        Probabilities that an object, and several of them, lie on a pixel.
    middle : float array (height, width) or None
        That it is in the middle of one; None to take what is farthest from the outline in its place.
    scale : Scale or None
        Of the objects; None where it is not known, and then nothing is taken for too small.
    enlarged : int
        By how much the masks are larger than the maps.

    Returns
    -------
    ObjectMasks
        With scores; no pixel is of two objects.
    """
    if enlarged > 1:
        foreground, crossing = _larger(foreground, enlarged), _larger(crossing, enlarged)
        middle = None if middle is None else _larger(middle, enlarged)
    radius = 0.0 if scale is None else scale.half_width * enlarged
    solid: Bits = ndimage.binary_fill_holes(foreground > 0.5)
    seeds = _peaks(solid, radius) if middle is None else _middles((middle > 0.5) & (crossing <= 0.5) & solid, radius)
    parts, _ = ndimage.label(solid, _EIGHT)
    bare = np.isin(parts, np.unique(parts[seeds > 0]), invert=True) & solid  # without a middle: each part is an object
    seeds = np.where(bare, parts + seeds.max(), seeds)
    grown = watershed(ndimage.distance_transform_edt(seeds == 0), seeds, mask=solid)  # type: ignore[no-untyped-call]
    found = of_numbers(grown)
    found = found.chosen(np.array([each.area >= _SMALLEST * np.pi * radius**2 for each in found.regions], dtype=bool))
    scores = []
    for region in found.regions:
        sure = float(foreground[region.window][region.pixels].mean())
        best = sure if middle is None else float(middle[region.window][region.pixels].max())
        scores.append((sure + best) / 2)
    return ObjectMasks(found.height, found.width, found.regions, scores=tuple(scores))


def split_mask(mask: Bits) -> ObjectMasks:
    """Split a mask (height, width) into round objects, each around a place that is farthest from the outline."""
    whole = mask.astype(np.float32)
    found = split(whole, np.zeros_like(whole), None, None)
    return ObjectMasks(found.height, found.width, found.regions)


def split_class_map(drawn: Pixels) -> ObjectMasks:
    """Return the round objects of a class map, uint8 (height, width), each around its middle."""
    maps = (drawn != class_maps.GROUND, drawn == class_maps.CROSSING, drawn == class_maps.LINE)
    body, crossing, middle = (each.astype(np.float32) for each in maps)
    found = split(body, crossing, middle, None)
    return ObjectMasks(found.height, found.width, found.regions)


def _middles(inside: Bits, radius: float) -> NDArray[np.integer[Any]]:
    """Number the middles, from 1, without specks."""
    numbers, count = ndimage.label(inside, _EIGHT)
    areas = np.bincount(numbers.ravel(), minlength=count + 1)
    areas[0] = 0
    small = areas < _SMALLEST_MIDDLE * np.pi * radius**2
    found: NDArray[np.integer[Any]] = np.where(small[numbers], 0, numbers)
    return found


def _peaks(solid: Bits, radius: float) -> NDArray[np.integer[Any]]:
    """Number the places that are farthest from the outline, from 1."""
    far = ndimage.distance_transform_edt(np.pad(solid, 1))[1:-1, 1:-1]
    parts, count = ndimage.label(solid, _EIGHT)
    usual = radius or (float(np.median(ndimage.maximum(far, parts, np.arange(1, count + 1)))) if count else 1.0)
    smooth = ndimage.gaussian_filter(far, 1.0)
    places = peak_local_max(smooth, min_distance=max(1, round(_APART * usual)), labels=parts)  # type: ignore[no-untyped-call]
    seeds = np.zeros(solid.shape, dtype=np.int64)
    seeds[tuple(places.T)] = np.arange(1, len(places) + 1)
    return seeds


def _larger(array: Map, times: int) -> Map:
    large: Map = ndimage.zoom(array, times, order=1, grid_mode=True, mode="nearest")
    return large
