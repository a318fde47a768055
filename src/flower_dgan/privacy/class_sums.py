"""The sum of a node's patients, a row for each class: what patients add, and what a noisy sum says.

An entry of a row is a feature, and the last one counts; see :mod:`flower_dgan.algorithms.dpmerf` for the equations.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flower_dgan.privacy.noise import GRID, whole_steps

_STANDS_OUT = 3.0  # standard deviations
_ROOM = 6.0


@dataclass(frozen=True)
class Layout:
    """How a sum lies in memory.

    Attributes
    ----------
    classes, features : int
        Rows, and entries of a row beside the count.
    count_share : float
        c, in (0, 1).
    """

    classes: int
    features: int
    count_share: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a sum."""
        return self.classes, self.features + 1

    @property
    def numbers(self) -> int:
        """Entries of a sum."""
        return math.prod(self.shape)

    def vector(self, features: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return v_i of a patient, of length 1 at most.

        Parameters
        ----------
        features : float64 array (images, features)
            Of the patient's images, each of length 1.
        classes : int64 array (images,)
            Of these images.
        """
        found = np.zeros(self.shape)
        of_image = np.hstack(
            [
                math.sqrt(1 - self.count_share) * features,
                np.full((len(features), 1), math.sqrt(self.count_share)),
            ]
        )
        np.add.at(found, classes, of_image / len(features))
        return found

    def add_up(self, patients: Iterable[tuple[NDArray[np.float64], NDArray[np.int64]]]) -> NDArray[np.int64]:
        """Return the sum over patients, each as for :meth:`vector`, in whole steps, without noise.

        Whatever the features are, none adds more than 1, see :func:`~flower_dgan.privacy.noise.whole_steps`.
        """
        total = np.zeros(self.shape, np.int64)
        for features, classes in patients:
            total += whole_steps(self.vector(features, classes).reshape(1, -1)).reshape(self.shape)
        return total

    def signal_to_noise(self, total: NDArray[np.int64], sigma: float) -> float:
        """Return the squared length of a sum without noise over that which noise of ``sigma`` has on average."""
        return float(np.square(total / GRID).sum()) / (sigma**2 * total.size)

    def expected_signal_to_noise(self, patients: int, sigma: float) -> float:
        """Return the same for so many patients, one image each, who are alike within each of classes of one size."""
        return (patients / self.classes) ** 2 * self.classes / (sigma**2 * math.prod(self.shape))

    def counts(self, noisy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return n_y of a noisy sum in units of 1; below 0 where the noise is."""
        found: NDArray[np.float64] = noisy[:, -1] / math.sqrt(self.count_share)
        return found

    def stands_out(self, counts: NDArray[np.float64], sigma: float) -> NDArray[np.bool_]:
        """Return which counts are not lost in noise of ``sigma``: three standard deviations or more."""
        return counts >= _STANDS_OUT * sigma / math.sqrt(self.count_share)

    def means(self, noisy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return mu_y of a noisy sum in units of 1, (classes, features), for a count of 1 at least."""
        counts = np.maximum(1, self.counts(noisy))[:, None]
        found: NDArray[np.float64] = noisy[:, :-1] / (math.sqrt(1 - self.count_share) * counts)
        return found

    def is_plausible(self, noisy: NDArray[np.float64], sigma: float) -> bool:
        """Return whether a sum with noise of ``sigma`` can be one of unit vectors: no row is longer than its count.

        An honest one is found not to be about once in 10^8 times; another could move the generator at will.
        """
        room = _ROOM * sigma
        counts = np.maximum(0, self.counts(noisy)) + room / math.sqrt(self.count_share)
        longest = math.sqrt(1 - self.count_share) * counts + sigma * math.sqrt(self.features) + room
        return bool((np.linalg.norm(noisy[:, :-1], axis=1) <= longest).all())


def in_units(noisy: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return whole steps in units of 1."""
    return noisy / float(GRID)
