"""Object Dice: the Dice of every object with its partner on the other side, weighted by its pixels.

Sirinukunwattana 2017, "Gland segmentation in colon histology images: The GlaS challenge contest". The partner of an
object is the one on the other side that shares most pixels with it, of equal ones that with the lowest number; an
object that shares none has Dice 0. The mean of the two sides, over the objects of all windows together, in [0, 1].
"""

import numpy as np
from numpy.typing import NDArray

from flower_dgan.metrics import Ids, Metric
from flower_dgan.metrics.shared.overlaps import overlaps_of


class ObjectDice:
    """The tally; without a predicted object their side is 0, and a true one there must be."""

    def __init__(self) -> None:
        self._dice, self._area = np.zeros(2), np.zeros(2)

    def add(self, true: Ids, predicted: Ids) -> None:
        """Count windows, int (windows, height, width)."""
        for one, other in zip(true, predicted, strict=True):
            found = overlaps_of(one, other)
            self._dice += (
                _weighted_dice(found.shared, found.true, found.predicted),
                _weighted_dice(found.shared.T, found.predicted, found.true),
            )
            self._area += found.true.sum(), found.predicted.sum()

    def value(self) -> float:
        """Return the object Dice."""
        return float((self._dice / np.maximum(self._area, 1)).mean())


def _weighted_dice(shared: NDArray[np.int64], areas: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return the Dice of each object with its partner times its pixels, summed."""
    partners = shared.argmax(1)
    dice = 2 * shared[np.arange(len(areas)), partners] / np.maximum(areas + others[partners], 1)
    return float(areas @ dice)


METRIC = Metric("object Dice", "objects", lambda _: ObjectDice())
