"""Noise that several sites add to one sum, each a share of it, and what the sum is worth then.

A site adds rint(X_i) to each number of its vector of whole steps, X_i ~ N(0, s^2), s = sigma / sqrt(h): with h sites
the sum carries sigma. A sum of rounded variates is no rounded sum, and so no post-processing of the Gaussian mechanism
as it stands. Kairouz, Liu and Steinke ("The Distributed Discrete Gaussian Mechanism for Federated Learning with
Secure Aggregation", ICML 2021) therefore add discrete Gaussians, and bound by 10 sum_k exp(-2 pi^2 s^2 k / (k + 1)),
k = 1 .. h - 1, how far their sum is from one. For rounded ones there is an equivalent:

With U_i uniform in [-1/2, 1/2], P(rint(X_i) = k) is the density f_i of X_i + U_i at k. Was the convolution over whole
numbers one over all numbers, P(sum = k) would be the density of sum_i X_i + sum_i U_i at k, which is
P(rint(sum_i X_i + U_2 + ... + U_h) = k): with v whole, v + the sum is then the Gaussian mechanism of s sqrt(h) with
noise of nobody's data and a rounding behind it, and costs what that costs. The two convolutions differ by aliases
(Poisson): the characteristic function of rint(X_i) is sum_m F_i(t + 2 pi m), |t| <= pi, of which those with m != 0 are
at most a = 2 sum_{m >= 1} exp(-s^2 pi^2 (2 m - 1)^2 / 2). So no probability of the sum differs by more than
(1 + a)^h - 1 + a, see :func:`aliasing`. With s of 100 steps that is below 10^-21000: 0, however many numbers there are,
whatever a computer calls 0. Smaller noise is refused.
"""

import math

from flower_dgan.privacy.noise import GRID

FEWEST_STEPS = 100
"""Standard deviation of a share of noise, in steps: below it the rounding would have to be paid for."""

MOST_SITES = 1024
"""Of a sum."""

_MOST_PATIENTS = 2**32  # of a site, more than there are people to be one
_FARTHEST = 9.0  # standard deviations, which Box and Muller's variates do not reach


def share_of(sigma: float, honest_sites: int) -> float:
    """Return the noise that each site adds, so that ``honest_sites`` of them add ``sigma`` together.

    Raises
    ------
    ValueError
        If there are no such sites, or a share is of too few steps.
    """
    if honest_sites < 1:
        raise ValueError(f"{honest_sites} sites that add noise")
    share = sigma / math.sqrt(honest_sites)
    if share * GRID < FEWEST_STEPS:
        raise ValueError(f"noise of {share * GRID:.3g} steps at each site, fewer than {FEWEST_STEPS}")
    return share


def aliasing(steps: float, sites: int) -> float:
    """Return how far, at most, a probability of a sum of rounded variates is from that of the rounded sum.

    Parameters
    ----------
    steps : float
        s, their standard deviation in steps; at least 1.
    sites : int
        How many are added.
    """
    alias = 2 * math.fsum(math.exp(-((steps * math.pi * (2 * m - 1)) ** 2) / 2) for m in (1, 2, 3))
    return math.expm1(sites * math.log1p(alias)) + alias


def require_headroom(sites: int, share: float) -> None:
    """Raise ValueError if a sum of so many sites could leave the 64 bits in which it is added up.

    It depends on no image: each site may have 2^32 patients, who add 1 each at most, and noise as far out as it gets.
    """
    if not 0 < sites <= MOST_SITES:
        raise ValueError(f"a sum of {sites} sites, where 1 to {MOST_SITES} are possible")
    if sites * (_MOST_PATIENTS + _FARTHEST * share) * GRID >= 2.0**63:
        raise ValueError(f"noise of {share:.3g} at each of {sites} sites could leave the 64 bits of a sum")
