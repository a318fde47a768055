"""Arrays of numbers that can be used: real, finite, and whole where they number objects."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.errors import DataError


def require_finite(values: NDArray[Any], source: str, origin: tuple[int, int] = (0, 0)) -> None:
    """Raise DataError if an array holds anything but real numbers, or one that is not finite; says where.

    A single one would make the maximum of its image not finite, and the image black. ``origin`` is the place in its
    source of the first row and column of an array that is a part of it.
    """
    if values.dtype.kind not in "biuf":
        raise DataError(f"{source} holds {values.dtype}: save it as real numbers.")
    if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        odd = np.argwhere(~finite)
        place = odd[0]
        place[: len(origin)] += np.array(origin)[: len(place)]
        where = ", ".join(map(str, place.tolist()))
        raise DataError(
            f"{source} holds values that are not finite, {len(odd):,} of {values.size:,}, the first at ({where}), "
            "counted from 0: repair it, or give --skip-unreadable."
        )


def object_numbers(values: NDArray[Any], source: str) -> NDArray[np.uint16]:
    """Return the numbers of objects as they are kept; raises DataError if they are not 0 to 65,535."""
    require_finite(values, source)
    lowest, highest = values.min(), values.max()
    broken = values.dtype.kind == "f" and (values % 1).any()
    if lowest < 0 or highest > np.iinfo(np.uint16).max or broken:
        raise DataError(f"{source} holds numbers from {lowest} to {highest}: whole ones from 0 to 65,535 can be kept.")
    return values.astype(np.uint16, copy=False)
