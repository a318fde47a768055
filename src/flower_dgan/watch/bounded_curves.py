"""Curves of any number of rounds and clients in a bounded number of points."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

_MOST = 400  # points of a curve: twice as many, and two become one

Sums = dict[str, list[list[float]]]
"""By client: of each point the sum and the number of its values."""


class Curves:
    """The means of measures of clients over rounds; a point stands for one round, or for 2, 4, 8, ... of them.

    Parameters
    ----------
    measures : tuple of str
        What is measured.
    """

    def __init__(self, measures: tuple[str, ...]) -> None:
        self._sums: dict[str, Sums] = {measure: {} for measure in measures}
        self._points = 0
        self.stride = 1

    def add(self, round_number: int, values: Mapping[str, Mapping[str, float]]) -> None:
        """Take what was measured in a round: by client, by measure. What is not finite leaves a gap."""
        if round_number < 1:
            return
        while (point := (round_number - 1) // self.stride) >= 2 * _MOST:
            self._halve()
        self._points = max(self._points, point + 1)
        for client, measured in values.items():
            for measure, sums in self._sums.items():
                if _is_finite(value := measured.get(measure)):
                    kept = sums.setdefault(client, [])
                    kept.extend([0.0, 0] for _ in range(point + 1 - len(kept)))
                    kept[point][0] += value
                    kept[point][1] += 1

    def _halve(self) -> None:
        self.stride *= 2
        self._points = (self._points + 1) // 2
        for sums in self._sums.values():
            for client, kept in sums.items():
                pairs = zip(kept[::2], [*kept[1::2], [0.0, 0]], strict=False)
                sums[client] = [[one[0] + two[0], one[1] + two[1]] for one, two in pairs]

    def shown(self, since: int = 0) -> dict[str, Any]:
        """Return the points from one on, ready for JSON: four digits, and None where nothing was measured.

        Returns
        -------
        dict
            ``stride``; ``since``; ``rounds``, the last round of each point; and by measure and client its values.
        """
        rounds = [(point + 1) * self.stride for point in range(since, self._points)]
        return {
            "stride": self.stride,
            "since": since,
            "rounds": rounds,
            "measures": {
                measure: {client: _means(kept[since:], len(rounds)) for client, kept in sums.items()}
                for measure, sums in self._sums.items()
            },
        }


def _is_finite(value: object) -> TypeGuard[float]:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # a whole number of some hundred digits
        return False


def _means(kept: list[list[float]], length: int) -> list[float | None]:
    means = [float(f"{total / count:.4g}") if count else None for total, count in kept]
    return [*means, *[None] * (length - len(means))]
