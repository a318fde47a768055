"""Accuracy: the share of the images whose class is the predicted one, in [0, 1]."""

from flower_dgan.metrics import Ids, Metric


class _Hits:
    def __init__(self) -> None:
        self._hits = self._images = 0

    def add(self, true: Ids, predicted: Ids) -> None:
        self._hits += int((true == predicted).sum())
        self._images += len(true)

    def value(self) -> float:
        return self._hits / self._images


METRIC = Metric("accuracy", "classes", lambda _: _Hits())
