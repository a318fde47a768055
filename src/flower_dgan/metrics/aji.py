"""AJI, the aggregated Jaccard index.

Kumar 2017, "A dataset and a technique for generalized nuclear segmentation for computational pathology", algorithm 1:
its counts C of intersections and U of unions, over the objects of all windows together, in [0, 1]. The partner of a
true object is the predicted one with the highest intersection over union, of equal ones that with the lowest number; it
may be the partner of several. A true object that shares no pixel adds its own to the unions, and so do predicted
objects that are nobody's partner.
"""

import numpy as np

from flower_dgan.metrics import Ids, Metric
from flower_dgan.metrics.shared.overlaps import overlaps_of


class AggregatedJaccard:
    """The tally; a true object there must be.

    Attributes
    ----------
    common, joint : int
        The paper's C and U.
    """

    def __init__(self) -> None:
        self.common = self.joint = 0

    def add(self, true: Ids, predicted: Ids) -> None:
        """Count windows, int (windows, height, width)."""
        for one, other in zip(true, predicted, strict=True):
            found = overlaps_of(one, other)
            unions = np.maximum(found.true[:, None] + found.predicted - found.shared, 1)  # 0 for none with none
            objects = np.arange(1, len(found.true))
            partners = (found.shared / unions).argmax(1)[1:]
            alone = np.ones(len(found.predicted), dtype=bool)
            alone[partners] = False
            self.common += int(found.shared[objects, partners].sum())
            self.joint += int(unions[objects, partners].sum() + found.predicted[alone].sum())

    def value(self) -> float:
        """Return the index."""
        return self.common / self.joint


METRIC = Metric("AJI", "objects", lambda _: AggregatedJaccard())
