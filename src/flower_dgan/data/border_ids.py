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
_HIGHEST = np.iinfo(np.int32).max


def border_ids(values: Mapping[Path, Mapping[int, int]]) -> dict[int, list[Path]]:
    """Find the ids that occur only as a border between areas of a lower and of a higher one.

    They are nowhere wider than four pixels, nine of ten of their pixels lie within four pixels of both a lower and a
    higher id that are wider somewhere, and a fifth touches either side. A class that is drawn as a thin line may be
    such, too; one of specks, or an id in noise, is not.

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
    wide: set[int] = set()
    for path in several:
        mask = read_mask(path).astype(np.int32)
        low, high = _extremes(mask, mask, _WIDEST + 1)
        wide.update(np.unique(mask[low == high]).tolist())
    found = set().union(*several.values())
    doubtful = {number for number in found - wide if wide and min(wide) < number < max(wide)}
    if not doubtful:
        return {}
    pixels, near_both, at_lower, at_higher = (Counter[int]() for _ in range(4))
    for counts in values.values():
        pixels.update(counts)
    for path in several:
        if doubtful.isdisjoint(several[path]):
            continue
        mask = read_mask(path).astype(np.int32)
        is_wide = np.isin(mask, list(wide))
        # What is not wide is neither lower nor higher than anything.
        low, high = _extremes(np.where(is_wide, mask, _HIGHEST), np.where(is_wide, mask, -1), 2 * _WIDEST + 1)
        near_both.update(_counted(mask[(low < mask) & (mask < high)]))
        low, high = _extremes(mask, mask, 3)
        at_lower.update(_counted(mask[low < mask]))
        at_higher.update(_counted(mask[mask < high]))
    odd = [
        number
        for number in sorted(doubtful)
        if near_both[number] >= max(_FEWEST_PIXELS, _ALMOST_ALL * pixels[number])
        and min(at_lower[number], at_higher[number]) >= _TOUCHING * pixels[number]
    ]
    return {number: [path for path in several if number in values[path]] for number in odd}


def _extremes(
    for_lowest: NDArray[np.int32], for_highest: NDArray[np.int32], side: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the lowest value of one array and the highest of another in the square around each pixel."""
    return ndimage.minimum_filter(for_lowest, side), ndimage.maximum_filter(for_highest, side)


def _counted(found: NDArray[Any]) -> dict[int, int]:
    numbers, counts = np.unique(found, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
