"""Scores of single objects, such as nuclei: object Dice and the aggregated Jaccard index.

Sirinukunwattana 2017, "Gland segmentation in colon histology images: The GlaS challenge contest" (object-level Dice);
Kumar 2017, "A dataset and a technique for generalized nuclear segmentation for computational pathology" (AJI).
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label  # type: ignore[import-untyped]

_TOUCHING = np.ones((3, 3), dtype=bool)

ObjectIds = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class ObjectTally:
    """What both scores are made of; tallies of several windows add up.

    Attributes
    ----------
    true_area, predicted_area : int
        Pixels of all true and of all predicted objects.
    true_dice, predicted_dice : float
        The Dice of each object with its partner on the other side, times its pixels, summed over the objects.
    common, joint : int
        Algorithm 1 of Kumar 2017: its counts C of intersections and U of unions.
    """

    true_area: int = 0
    predicted_area: int = 0
    true_dice: float = 0.0
    predicted_dice: float = 0.0
    common: int = 0
    joint: int = 0

    def __add__(self, other: "ObjectTally") -> "ObjectTally":
        """Add the tally of other windows."""
        return ObjectTally(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def object_dice(self) -> float:
        """Return the object-level Dice in [0, 1], which wants a true object; 0 if there is no predicted one."""
        predicted = self.predicted_dice / self.predicted_area if self.predicted_area else 0.0
        return (self.true_dice / self.true_area + predicted) / 2

    @property
    def aji(self) -> float:
        """Return the aggregated Jaccard index in [0, 1], which wants a true object."""
        return self.common / self.joint


def number_objects(mask: NDArray[np.bool_]) -> ObjectIds:
    """Number the objects of a mask: its connected components, where pixels that touch at a corner are connected."""
    ids: ObjectIds = label(mask, _TOUCHING)[0]
    return ids


def tally_objects(true: ObjectIds, predicted: ObjectIds) -> ObjectTally:
    """Compare the objects of one window.

    For object Dice the partner of an object is the one on the other side that shares most pixels with it; for AJI that
    of a true object is the predicted one with the highest intersection over union, which may be the partner of several.
    Of equal ones the lowest number is taken. An object that shares no pixel with any has no partner: its Dice is 0, and
    AJI's unions get its own pixels, as they do for predicted objects that are nobody's partner.

    Parameters
    ----------
    true, predicted : int arrays (height, width)
        The number of the object of each pixel, 0 for none; an object need not be in one piece.

    Returns
    -------
    ObjectTally
        All zeros if there is no object.
    """
    shared, true_areas, predicted_areas = _shared_pixels(true, predicted)
    unions = np.maximum(true_areas[:, None] + predicted_areas - shared, 1)  # 0 for no object with no object
    true_dice, predicted_dice = (
        float(areas @ _partner_dice(table, areas, others))
        for table, areas, others in ((shared, true_areas, predicted_areas), (shared.T, predicted_areas, true_areas))
    )
    objects = np.arange(1, len(true_areas))
    partners = (shared / unions).argmax(1)[1:]
    alone = np.ones(len(predicted_areas), dtype=bool)
    alone[partners] = False
    return ObjectTally(
        true_area=int(true_areas.sum()),
        predicted_area=int(predicted_areas.sum()),
        true_dice=true_dice,
        predicted_dice=predicted_dice,
        common=int(shared[objects, partners].sum()),
        joint=int(unions[objects, partners].sum() + predicted_areas[alone].sum()),
    )


def _shared_pixels(
    true: ObjectIds, predicted: ObjectIds
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the shared pixels of true objects (rows) and predicted ones (columns), and the areas of both.

    Row and column 0 stand for "none", with no pixels.
    """
    numbers = [np.unique(np.append(0, ids.ravel()), return_inverse=True) for ids in (true, predicted)]
    (true_names, rows), (predicted_names, columns) = numbers
    shape = (len(true_names), len(predicted_names))
    shared = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
    true_areas, predicted_areas = shared.sum(1), shared.sum(0)
    shared[0], shared[:, 0], true_areas[0], predicted_areas[0] = 0, 0, 0, 0
    return shared, true_areas, predicted_areas


def _partner_dice(
    shared: NDArray[np.int64], areas: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float64]:
    partners = shared.argmax(1)
    both: NDArray[np.float64] = 2 * shared[np.arange(len(areas)), partners] / np.maximum(areas + others[partners], 1)
    return both
