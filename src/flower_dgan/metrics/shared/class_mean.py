"""A figure of each class from counts of pixels or images, and its mean over the classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Figure = Callable[[Counts, Counts, Counts], NDArray[np.floating[Any]]]
"""Of hits, true and predicted ones of each class makes the figure of each."""


class ClassMean:
    """Counts over all that is added, then a figure of each class, then their mean.

    A class that is neither true nor predicted anywhere is left out of the mean.

    Parameters
    ----------
    classes : int
        Number of classes.
    figure : callable
        Of int64 arrays (classes,): hits, true and predicted ones. Some are 0, but never true and predicted both.
    first : int
        The first class that counts: 1 leaves the background out.
    """

    def __init__(self, classes: int, figure: Figure, first: int) -> None:
        self._counts = np.zeros((classes, classes), dtype=np.int64)
        self._figure, self._first = figure, first

    def add(self, true: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]]) -> None:
        """Count classes in 0 .. ``classes`` - 1, in arrays of one shape."""
        classes = len(self._counts)
        both = true.astype(np.int64).ravel() * classes + predicted.ravel()
        self._counts += np.bincount(both, minlength=classes**2).reshape(classes, classes)

    def value(self) -> float:
        """Return the mean."""
        hits, true, predicted = self._counts.diagonal(), self._counts.sum(1), self._counts.sum(0)
        chosen = np.flatnonzero(true + predicted)
        chosen = chosen[chosen >= self._first]
        return float(self._figure(hits[chosen], true[chosen], predicted[chosen]).mean())
