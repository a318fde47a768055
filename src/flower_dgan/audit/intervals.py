"""What an attack's scores say of all candidates there could be: intervals, and bounds of epsilon."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.stats import binom, norm  # type: ignore[import-untyped]

CONFIDENCE = 0.95
_MOST_EPSILON = 50.0
_SHARES = (0.8, 0.5, 0.2)
"""Of the canaries that are guessed about, the surest ones: not all, as coins put more in than out, or fewer."""


@dataclass(frozen=True)
class Area:
    """The area under the curve of a test (AUC), with its interval.

    Attributes
    ----------
    value, low, high : float
        In [0, 1]; 0.5 is guessing.
    """

    value: float
    low: float
    high: float


def area_under_curve(members: ArrayLike, others: ArrayLike, confidence: float = CONFIDENCE) -> Area:
    """Return how often a member's score is above another's, ties by half, with an interval.

    The interval is that of DeLong, DeLong & Clarke-Pearson 1988 ("Comparing the areas under two or more correlated
    receiver operating characteristic curves", Biometrics 44). Where the two do not overlap its width would be 0: there
    the area's other end is that at which none of so many would have been misplaced with probability 1 - confidence.

    Parameters
    ----------
    members, others : float arrays
        Higher for members; at least two each.
    confidence : float
        In (0, 1), of the two-sided interval.
    """
    inside, outside = np.asarray(members, float), np.asarray(others, float)
    if min(len(inside), len(outside)) < 2 or not (np.isfinite(inside).all() and np.isfinite(outside).all()):
        raise ValueError("an area wants two finite scores of each kind at least")
    wins = (inside[:, None] > outside).astype(float) + (inside[:, None] == outside) / 2
    value = float(wins.mean())
    variance = wins.mean(1).var(ddof=1) / len(inside) + wins.mean(0).var(ddof=1) / len(outside)
    half = float(norm.ppf(0.5 + confidence / 2)) * math.sqrt(variance)
    if variance == 0:
        half = 1 - (1 - confidence) ** (1 / min(len(inside), len(outside)))
    return Area(value, max(0.0, value - half), min(1.0, value + half))


def epsilon_at_least(
    scores: NDArray[np.float64], inside: NDArray[np.bool_], delta: float, confidence: float = CONFIDENCE
) -> float:
    """Return an epsilon that a mechanism with this output has at least, with that confidence; 0 where it shows none.

    T. Steinke, M. Nasr, M. Jagielski: "Privacy Auditing with One (1) Training Run", NeurIPS 2023, theorem 5.2: of r
    guesses about canaries, each of which is in or out by a coin, no more are right under (epsilon, delta) than of r
    coins with e^epsilon / (e^epsilon + 1), but for a term of delta. Here the surest half of r guesses says in, the
    other half out, for r of four fifths of all canaries, a half and a fifth of them; each has a third of the
    error.

    Parameters
    ----------
    scores : float64 array (canaries,)
        Higher for those that seem to be in.
    inside : bool array (canaries,)
        Which are, each by a coin of its own.
    delta : float
        In [0, 1).
    confidence : float
        In (0, 1).
    """
    canaries, error = len(scores), (1 - confidence) / len(_SHARES)
    order, found = np.argsort(scores, kind="stable"), 0.0
    for share in _SHARES:
        half = int(canaries * share) // 2
        if half:
            right = int(inside[order[-half:]].sum() + (~inside[order[:half]]).sum())
            found = max(found, _epsilon_of(canaries, 2 * half, right, delta, error))
    return found


def most_that_can_be_shown(canaries: int, delta: float, confidence: float = CONFIDENCE) -> float:
    """Return the epsilon that :func:`epsilon_at_least` returns where all guesses are right."""
    guesses = 2 * (int(canaries * _SHARES[0]) // 2)
    return _epsilon_of(canaries, guesses, guesses, delta, (1 - confidence) / len(_SHARES))


def chance(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return a bound of the probability of so many right guesses or more, theorem 5.2; 1 at most."""
    share = 1 / (1 + math.exp(-epsilon))
    fewer = np.arange(1, right + 1)
    just_below = np.cumsum(binom.pmf(right - fewer, guesses, share))
    worst = float((just_below / fewer).max()) if right else 0.0
    return float(min(1.0, binom.sf(right - 1, guesses, share) + 2 * canaries * delta * worst))


def _epsilon_of(canaries: int, guesses: int, right: int, delta: float, error: float) -> float:
    def excess(epsilon: float) -> float:
        return chance(canaries, guesses, right, epsilon, delta) - error

    if excess(0.0) >= 0:
        return 0.0
    if excess(_MOST_EPSILON) < 0:
        return _MOST_EPSILON
    return float(brentq(excess, 0.0, _MOST_EPSILON, xtol=1e-4))
