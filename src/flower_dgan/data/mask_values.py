"""What the values of masks mean: background and foreground, class ids, or numbers of objects."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.config.data_settings import MOST_CLASSES, MasksName
from flower_dgan.data.declared_classes import not_a_class
from flower_dgan.data.image_files import read_mask
from flower_dgan.data.lossy_files import lossy_format
from flower_dgan.data.mask_palettes import require_one_order
from flower_dgan.data.picture_windows import row_blocks
from flower_dgan.errors import DataError

BINARY = frozenset({0, 255})
_IDS_OF_TWO = frozenset({0, 1})


def mask_values(path: Path, classes: int | None = None, masks: MasksName | None = None) -> dict[int, int]:
    """Count the values of a mask.

    Parameters
    ----------
    path : Path
        Its file.
    classes : int or None
        How many there are, where that is known.
    masks : {"classes", "binary", "objects"} or None
        What its values say, where that is known: ``data.masks``.

    Returns
    -------
    dict of int to int
        How many pixels hold each value.

    Raises
    ------
    DataError
        If it cannot be read, if a value is not of that kind or no class, or if values other than 0 and 255 are from a
        file that does not keep them.
    """
    found = _counted(read_mask(path))
    if masks == "binary" and not (set(found) <= BINARY or set(found) <= _IDS_OF_TWO):
        raise DataError(
            f"{path} holds the values {listed(found)}, and with data.masks=binary a mask holds 0 and 255, or 0 and 1. "
            "JPEG and smooth resizing invent values: save masks as PNG, resized without interpolation. Class ids want "
            "data.masks=classes, a number for each object data.masks=objects."
        )
    if masks != "objects" and not set(found) <= BINARY and (min(found) < 0 or max(found) >= MOST_CLASSES):
        raise DataError(
            f"{path} holds the values {listed(found)}: masks hold either 0 and 255 only or class ids below "
            f"{MOST_CLASSES}. JPEG and smooth resizing invent values: save masks as PNG, resized without "
            "interpolation. A number for each object: set data.masks=objects, or flower-dgan data prepare folder "
            "--instances."
        )
    if min(found) < 0:
        raise DataError(f"{path} holds the values {listed(found)}: numbers of objects are 1 and more, and 0 is none.")
    numbers = masks in ("classes", "objects") or classes not in (None, 2) or not set(found) <= BINARY
    if numbers and (lossy := lossy_format(path)):
        raise DataError(_not_kept(path, found, lossy))
    if masks == "objects":
        return found
    if classes is not None and 255 in found and classes != 2:
        raise DataError(
            f"{path} holds 0 and 255, which are two classes, and data.classes={classes}: save class ids from 0 to "
            f"{classes - 1}, or set data.classes=2."
        )
    if classes is not None and 255 not in found and max(found) >= classes:
        raise DataError(not_a_class(str(path), max(found), classes))
    return found


def decide_classes(
    values: Mapping[Path, Mapping[int, int]], classes: int | None = None, masks: MasksName | None = None
) -> tuple[bool, int]:
    """Decide over all masks whether they tell foreground only, and count the classes where their number is not known.

    Parameters
    ----------
    values : mapping of Path to mapping
        What each mask holds, see :func:`mask_values`.
    classes, masks
        As given to :func:`mask_values`.

    Returns
    -------
    foreground : bool
        Whether every value but 0 is the one class beside the background.
    classes : int
        As given; otherwise 2 for foreground, else the highest id + 1 (at least 2).

    Raises
    ------
    DataError
        If some have 0/255 and others class ids, if all hold 0 alone and are from files that do not keep values, such
        as 1, or if their palettes contradict each other.
    """
    require_one_order(values, masks)
    every = set().union(*values.values())
    if every == {0} and (lossy := lossy_format(next(iter(values)))):
        raise DataError(_not_kept(*next(iter(values.items())), lossy))
    if masks == "objects" or every <= BINARY:
        return True, classes or 2
    if 255 not in every:
        return masks == "binary", classes or max(2, max(every) + 1)
    ids = next(path for path in values if not set(values[path]) <= BINARY)
    binary = next(path for path in values if 255 in values[path])
    raise DataError(
        f"{ids} holds the values {listed(values[ids])}, while {binary} has 0 and 255: masks hold either 0 and 255 "
        f"only or class ids below {MOST_CLASSES}, all in the same way."
    )


def _counted(mask: NDArray[np.integer[Any]]) -> dict[int, int]:
    """Return how many pixels hold each value, in ascending order; a large mask is not copied for it."""
    total: Counter[int] = Counter()
    for window in row_blocks(*mask.shape):
        values, counts = np.unique(mask[window], return_counts=True)
        total.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return dict(sorted(total.items()))


def _not_kept(path: Path, found: Mapping[int, int], lossy: str) -> str:
    return (
        f"{path} holds the values {listed(found)} as {lossy}, which invents values and loses others, and ids near the "
        "true ones cannot be told from them: save masks as PNG, from the originals."
    )


def listed(values: Mapping[int, int]) -> str:
    """Write the values of a mask for a message, the first eight and the last."""
    shown = sorted(values)
    rest = f", ... {shown[-1]} ({len(shown)} values)" if len(shown) > 8 else ""
    return ", ".join(map(str, shown[:8])) + rest
