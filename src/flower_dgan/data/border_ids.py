"""Ids that a resize with interpolation invents: between 0 and 2 it draws a line of 1."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.image_files import read_mask

# Where a mask was enlarged eightfold, such a line is about four pixels wide.
_WIDEST = 4
# The end of a line may lie farther from one of the two,
_ALMOST_ALL = 0.9
# and of the pixels of the widest a quarter touches each of them.
_TOUCHING = 0.2
# Fewer are a detail that was drawn.
_FEWEST_PIXELS = 8


def border_ids(values: Mapping[Path, Mapping[int, int]]) -> dict[int, list[Path]]:
    """Find the ids that occur only as a border between a lower and a higher one.

    They are nowhere wider than four pixels, nine of ten of their pixels lie within four pixels of both a lower and a
    higher id, and a fifth touches either. A class that is drawn as a thin line may be such, too.

    Parameters
    ----------
    values : mapping of Path to mapping
        How many pixels of each mask hold each value. Those with three values or more are read.

    Returns
    -------
    dict of int to list of Path
        The masks that hold such an id, by id, both in order.
    """
    several = {path: counts for path, counts in values.items() if len(counts) > 2}
    pixels, near_both, at_lower, at_higher = (Counter[int]() for _ in range(4))
    for counts in values.values():
        pixels.update(counts)
    wide: set[int] = set()
    for path in several:
        mask = read_mask(path).astype(np.int32)
        low, high = _extremes(mask, 2 * _WIDEST + 1)
        near_both.update(_counted(mask[(low < mask) & (mask < high)]))
        low, high = _extremes(mask, 3)
        at_lower.update(_counted(mask[low < mask]))
        at_higher.update(_counted(mask[mask < high]))
        low, high = _extremes(mask, _WIDEST + 1)
        wide.update(np.unique(mask[low == high]).tolist())
    odd = [
        number
        for number, found in sorted(near_both.items())
        if number not in wide
        and found >= max(_FEWEST_PIXELS, _ALMOST_ALL * pixels[number])
        and min(at_lower[number], at_higher[number]) >= _TOUCHING * pixels[number]
    ]
    return {number: [path for path in several if number in values[path]] for number in odd}


def _extremes(mask: NDArray[np.int32], side: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the lowest and the highest value of the square around each pixel."""
    return ndimage.minimum_filter(mask, side), ndimage.maximum_filter(mask, side)


def _counted(found: NDArray[Any]) -> dict[int, int]:
    numbers, counts = np.unique(found, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
