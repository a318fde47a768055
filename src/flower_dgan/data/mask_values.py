"""What the values of masks mean: 0 and 255, or class ids."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.config.data_settings import MOST_CLASSES
from flower_dgan.data.declared_classes import not_a_class
from flower_dgan.data.image_files import is_jpeg, read_mask
from flower_dgan.data.picture_windows import row_blocks
from flower_dgan.errors import DataError

BINARY = frozenset({0, 255})


def mask_values(path: Path, classes: int | None = None) -> dict[int, int]:
    """Count the values of a mask.

    Parameters
    ----------
    path : Path
        Its file.
    classes : int or None
        How many there are, where that is known.

    Returns
    -------
    dict of int to int
        How many pixels hold each value.

    Raises
    ------
    DataError
        If it cannot be read, or if a value is no class.
    """
    found = _counted(read_mask(path))
    if not set(found) <= BINARY and (min(found) < 0 or max(found) >= MOST_CLASSES):
        raise DataError(
            f"{path} holds the values {_listed(found)}: masks hold either 0 and 255 only or class ids below "
            f"{MOST_CLASSES}. JPEG and smooth resizing invent values: save masks as PNG, resized without "
            "interpolation. A number for each object: flower-dgan data prepare folder --instances."
        )
    if not set(found) <= BINARY and is_jpeg(path):
        raise DataError(
            f"{path} holds the values {_listed(found)} as JPEG, which invents values, and ids near the true ones "
            "cannot be told from them: save masks as PNG, from the originals."
        )
    if classes is not None and 255 in found and classes != 2:
        raise DataError(
            f"{path} holds 0 and 255, which are two classes, and data.classes={classes}: save class ids from 0 to "
            f"{classes - 1}, or set data.classes=2."
        )
    if classes is not None and 255 not in found and max(found) >= classes:
        raise DataError(not_a_class(str(path), max(found), classes))
    return found


def decide_classes(values: Mapping[Path, Mapping[int, int]], classes: int | None = None) -> tuple[bool, int]:
    """Decide over all masks whether they are 0/255, and count the classes where their number is not known.

    Parameters
    ----------
    values : mapping of Path to mapping
        What each mask holds, see :func:`mask_values`.
    classes : int or None
        As given to :func:`mask_values`.

    Returns
    -------
    binary : bool
        Whether 255 is the foreground.
    classes : int
        As given; otherwise 2 for 0/255, else the highest id + 1 (at least 2).

    Raises
    ------
    DataError
        If some have 0/255 and others class ids.
    """
    every = set().union(*values.values())
    if every <= BINARY:
        return True, classes or 2
    if 255 not in every:
        return False, classes or max(2, max(every) + 1)
    ids = next(path for path in values if not set(values[path]) <= BINARY)
    binary = next(path for path in values if 255 in values[path])
    raise DataError(
        f"{ids} holds the values {_listed(values[ids])}, while {binary} has 0 and 255: masks hold either 0 and 255 "
        f"only or class ids below {MOST_CLASSES}, all in the same way."
    )


def _counted(mask: NDArray[np.integer[Any]]) -> dict[int, int]:
    """Return how many pixels hold each value, in ascending order; a large mask is not copied for it."""
    total: Counter[int] = Counter()
    for window in row_blocks(*mask.shape):
        values, counts = np.unique(mask[window], return_counts=True)
        total.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return dict(sorted(total.items()))


def _listed(values: Mapping[int, int]) -> str:
    shown = sorted(values)
    rest = f", ... {shown[-1]} ({len(shown)} values)" if len(shown) > 8 else ""
    return ", ".join(map(str, shown[:8])) + rest
