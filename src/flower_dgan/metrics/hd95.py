"""HD95: how far the outlines of the true and of the predicted mask lie apart, without the farthest twentieth.

Huttenlocher 1993, "Comparing images using the Hausdorff distance", has the distance with ranks. The mean over the
windows, then over the foreground classes that are somewhere, true or predicted.
"""

from math import hypot

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt  # type: ignore[import-untyped]

from flower_dgan.metrics import Ids, Metric


def hausdorff95(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Return the symmetric Hausdorff distance with its 95th percentile in place of the maximum, HD95, in pixels.

    The outline of a mask is its pixels that have a pixel outside among their four neighbours; what lies beyond the edge
    of the window is outside. From every pixel of one outline the Euclidean distance to the nearest pixel of the other
    is taken; the result is the larger of the 95th percentiles (linear between neighbours) of the two directions.

    Parameters
    ----------
    true, predicted : bool arrays (height, width)
        The two masks.

    Returns
    -------
    float
        0 for equal masks, so also where both are empty. Where one alone is empty, the length of the window's diagonal
        (height and width in pixels), which no other pair of masks reaches.
    """
    if not true.any() or not predicted.any():
        return hypot(*true.shape) if true.any() or predicted.any() else 0.0
    outlines = [mask & ~binary_erosion(mask) for mask in (true, predicted)]
    to_true, to_predicted = (distance_transform_edt(~outline) for outline in outlines)
    distances = (to_predicted[outlines[0]], to_true[outlines[1]])
    return max(float(np.percentile(each, 95)) for each in distances)


class _Outlines:
    def __init__(self, classes: int) -> None:
        self._sums, self._there, self._windows = np.zeros(classes), np.zeros(classes, dtype=bool), 0

    def add(self, true: Ids, predicted: Ids) -> None:
        self._windows += len(true)
        for k in range(1, len(self._sums)):
            pairs = [(one == k, other == k) for one, other in zip(true, predicted, strict=True)]
            self._sums[k] += sum(hausdorff95(*pair) for pair in pairs)
            self._there[k] |= any(mask.any() for pair in pairs for mask in pair)

    def value(self) -> float:
        return float(self._sums[self._there].mean() / self._windows)


METRIC = Metric("HD95 (pixels)", "masks", _Outlines, best="lowest")
