"""Which objects of a window lie on which, for metrics of single objects such as nuclei."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flower_dgan.metrics import Ids


@dataclass(frozen=True)
class Overlaps:
    """The pixels that true and predicted objects share.

    Row and column 0 stand for "none", with no pixels.

    Attributes
    ----------
    shared : int64 array (true + 1, predicted + 1)
        Common pixels of each true object (rows) with each predicted one (columns).
    true, predicted : int64 array (true + 1,), (predicted + 1,)
        Pixels of each object.
    """

    shared: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]


def overlaps_of(true: Ids, predicted: Ids) -> Overlaps:
    """Compare the objects of one window.

    Parameters
    ----------
    true, predicted : int arrays (height, width)
        The number of the object of each pixel, 0 for none; an object need not be in one piece.
    """
    numbers = [np.unique(np.append(0, ids.ravel()), return_inverse=True) for ids in (true, predicted)]
    (true_names, rows), (predicted_names, columns) = numbers
    shape = (len(true_names), len(predicted_names))
    shared = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
    true_areas, predicted_areas = shared.sum(1), shared.sum(0)
    shared[0], shared[:, 0], true_areas[0], predicted_areas[0] = 0, 0, 0, 0
    return Overlaps(shared, true_areas, predicted_areas)
