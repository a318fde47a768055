"""Gaussian noise in whole steps of a grid, from bits that nobody else knows.

Numbers of floating point betray what they were added to by their last bits (Mironov 2012, "On significance of the
least significant bits for differential privacy"). So what a patient adds is a vector of whole steps, the sum is exact,
and the noise is rounded to whole steps before it is added. As the sum is whole, this is the same as adding the
unrounded noise and rounding afterwards, which costs no privacy.

Normal variates are those of Box & Muller 1958 from uniforms of 53 bits. They end at 8.6 standard deviations: beyond
lies a probability of 2^-53 a coordinate, some 10^-10 for a million of them, which no delta in use notices.
"""

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RandomBytes = Callable[[int], bytes]
"""Returns so many random bytes, such as :func:`os.urandom`."""

GRID = 2**16
"""Steps of the grid in 1."""


def seeded_bytes(seed: int) -> RandomBytes:
    """Return a source of bytes that follow from a seed, the same on every machine: for what everybody may know."""
    generator = np.random.Philox(key=seed)

    def read(count: int) -> bytes:
        return np.asarray(generator.random_raw(-(-count // 8)), "<u8").tobytes()[:count]

    return read


def normals(count: int, random_bytes: RandomBytes) -> NDArray[np.float64]:
    """Return independent standard normal variates, (count,)."""
    pairs = -(-count // 2)
    words = np.frombuffer(random_bytes(16 * pairs), "<u8").astype(np.uint64)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 1) / 2**53  # in (0, 1]
    radius, angle = np.sqrt(-2 * np.log(uniform[:pairs])), 2 * np.pi * uniform[pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def whole_steps(vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what patients add, (patients, entries), in whole steps, none of them longer than 1.

    Longer ones are shortened, and one that is not finite adds nothing: an error would tell that it is there. Each entry
    is cut off towards 0, which makes no vector longer.
    """
    finite = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0.0)
    lengths = np.linalg.norm(finite, axis=1)
    shortened = finite / np.maximum(1, lengths * (1 + 1e-9))[:, None]
    steps: NDArray[np.int64] = np.trunc(GRID * shortened).astype(np.int64)
    return steps


def noisy(total: NDArray[np.int64], sigma: float, random_bytes: RandomBytes = os.urandom) -> NDArray[np.int64]:
    """Return a sum of whole steps with Gaussian noise of standard deviation ``sigma``, in units of 1.

    Raises
    ------
    ValueError
        If sigma is not above 0, or the sum has other numbers than whole ones.
    """
    if not sigma > 0 or total.dtype != np.int64:
        raise ValueError(f"noise of {sigma} on a sum of {total.dtype}")
    drawn = np.rint(GRID * sigma * normals(total.size, random_bytes)).astype(np.int64)
    return total + drawn.reshape(total.shape)
