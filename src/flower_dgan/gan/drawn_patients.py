"""Which patients come to a step of a discriminator, each by a coin of its own, and with one image each."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_WORDS = 2**64


class DrawnPatients:
    """The patients of a client, who come to steps by chance (Poisson sampling).

    Parameters
    ----------
    patients : sequence of sequences of int
        Which images each patient has, one at least.
    random_bytes : callable
        Returns so many random bytes, which nobody else can know: :func:`os.urandom` where it matters.
    count : float
        About how many patients there are, as far as that may be known of what leaves.

    Attributes
    ----------
    count : float
        As given, and 1 at least.
    random_bytes : callable
        As given.
    taken : int
        How many steps were drawn for.
    """

    def __init__(
        self, patients: Sequence[Sequence[int]], random_bytes: Callable[[int], bytes], count: float | None = None
    ) -> None:
        self._images = np.array([image for each in patients for image in each], np.int64)
        self._sizes = np.array([len(each) for each in patients], np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self.count = max(1.0, len(patients) if count is None else count)
        self.random_bytes = random_bytes
        self.taken = 0

    def draw(self, share: float) -> NDArray[np.int64]:
        """Return one image of each patient who comes to the next step; each comes with probability ``share``."""
        self.taken += 1
        comes, which = np.frombuffer(self.random_bytes(16 * len(self._sizes)), "<u8").reshape(2, -1)
        here = np.ones(len(comes), bool) if share >= 1 else comes < np.uint64(int(share * _WORDS))
        drawn = which[here] % self._sizes[here].astype(np.uint64)
        return self._images[self._starts[here] + drawn.astype(np.int64)]
