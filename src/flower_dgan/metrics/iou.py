"""Intersection over union: the common pixels over those that are true or predicted.

Jaccard 1912, "The distribution of the flora in the alpine zone". Pixels of all windows are counted together, then the
mean of the foreground classes is taken, in [0, 1].
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.class_mean import ClassMean, Counts


def _overlap(hits: Counts, true: Counts, predicted: Counts) -> NDArray[np.floating[Any]]:
    overlap: NDArray[np.floating[Any]] = hits / (true + predicted - hits)
    return overlap


METRIC = Metric("IoU", "masks", lambda classes: ClassMean(classes, _overlap, first=1))
