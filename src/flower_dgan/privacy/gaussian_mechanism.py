"""What Gaussian noise costs: (epsilon, delta) of one release, and of any number of them.

The neighbours are data sets of which one has a patient more than the other (add or remove one). A sum to which a
patient adds a vector of Euclidean norm 1 at most, with Gaussian noise of standard deviation sigma in each coordinate,
tells two neighbours apart no better than one draw tells N(0, 1) from N(mu, 1), where

    mu = 1 / sigma                                                          (Dong, Roth & Su 2022, theorem 2.7),
    delta(epsilon) = Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu)
                                                      (Balle & Wang 2018, theorem 8; Dong et al., corollary 2.13).

Releases of mu_1, mu_2, ... together are one of mu = sqrt(mu_1^2 + mu_2^2 + ...) (Dong et al., corollary 3.3), also
where each is chosen in view of those before (Smith & Thakurta 2022). These figures are exact and no bounds. So what is
kept of a patient is the sum of mu^2, and epsilon follows from it for whatever delta an owner has.

B. Balle, Y.-X. Wang: "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018.
J. Dong, A. Roth, W. J. Su: "Gaussian Differential Privacy", Journal of the Royal Statistical Society B 84, 2022.
A. Smith, A. Thakurta: "Fully Adaptive Composition for Gaussian Differential Privacy", arXiv:2210.17520.
"""

import math

from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import log_ndtr  # type: ignore[import-untyped]

METHOD = "analytic Gaussian (Balle & Wang 2018), composed as Gaussian differential privacy (Dong, Roth & Su 2022)"
"""How the figures are found, for a ledger."""

MOST_EPSILON = 1e4
"""Beyond it a figure says nothing; it stands for any."""

_PRECISION = 1e-12


def delta_of(epsilon: float, mu: float) -> float:
    """Return the least delta of releases of ``mu`` together, at an epsilon of at least 0.

    Raises
    ------
    ValueError
        If epsilon or mu is below 0.
    """
    if epsilon < 0 or mu < 0:
        raise ValueError(f"epsilon {epsilon} and mu {mu}: both at least 0")
    if mu == 0:
        return 0.0
    first, second = log_ndtr(mu / 2 - epsilon / mu), epsilon + log_ndtr(-mu / 2 - epsilon / mu)
    return float(max(0.0, math.exp(first) * -math.expm1(min(0.0, second - first))))


def epsilon_of(mu: float, delta: float) -> float:
    """Return the least epsilon of releases of ``mu`` together.

    Parameters
    ----------
    mu : float
        At least 0; of several releases the square root of the sum of their squares.
    delta : float
        In (0, 1).

    Returns
    -------
    float
        Rounded up by a part in 10^11 at most. :data:`MOST_EPSILON` where it is that or more.

    Raises
    ------
    ValueError
        If mu or delta is out of these bounds.
    """
    _check_delta(delta)
    if delta_of(0.0, mu) <= delta:
        return 0.0
    if delta_of(MOST_EPSILON, mu) > delta:
        return MOST_EPSILON
    found = brentq(lambda epsilon: delta_of(epsilon, mu) - delta, 0.0, MOST_EPSILON, xtol=_PRECISION, rtol=_PRECISION)
    return float(found) * (1 + 4 * _PRECISION) + 2 * _PRECISION


def sigma_of(epsilon: float, delta: float) -> float:
    """Return the least noise, in units of what a patient adds at most, of one release that costs ``epsilon``.

    Raises
    ------
    ValueError
        If epsilon is not in (0, 1000], or delta not in (0, 1).
    """
    _check_delta(delta)
    if not 0 < epsilon <= 1000:
        raise ValueError(f"epsilon {epsilon}, not above 0 and 1000 at most")
    mu = brentq(lambda mu: delta_of(epsilon, mu) - delta, 1e-9, 1e3, xtol=1e-15, rtol=_PRECISION)
    return 1 / float(mu) * (1 + 4 * _PRECISION)


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta {delta}, not between 0 and 1")
