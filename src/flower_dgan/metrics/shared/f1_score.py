"""The F1 score of each class, which pixels call Dice."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.metrics.shared.class_mean import Counts


def f1_score(hits: Counts, true: Counts, predicted: Counts) -> NDArray[np.floating[Any]]:
    """Return 2 hits / (true + predicted) of each class, the harmonic mean of precision and recall, in [0, 1]."""
    score: NDArray[np.floating[Any]] = 2 * hits / (true + predicted)
    return score
