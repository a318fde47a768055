"""What many releases cost together, some of them of drawn patients: Opacus' accountants, each by its name.

A release is a Gaussian mechanism to which each patient comes with probability q, drawn anew for each step (Poisson),
and neighbours differ by one patient (add or remove). With q = 1 all come, and
:mod:`~flower_dgan.privacy.gaussian_mechanism` is exact; what is here is an upper bound. RDP is above PRV by 7 to 9 % in
long trainings, so a figure is told with the name of its method.

``pip install 'flower-dgan[privacy]'`` brings Opacus.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from flower_dgan.errors import ConfigError

MethodName = Literal["RDP", "PRV", "RDP, integer orders, classic"]

METHOD = "RDP (Mironov 2017; Mironov, Talwar & Zhang 2019) of Opacus, Poisson sampling"
"""How figures are found where patients are drawn, for a ledger; budgets are kept by it."""

_INTEGER_ORDERS = range(2, 257)
_LEAST_NOISE, _MOST_NOISE, _NEAR, _NOTHING = 0.3, 1e4, 1e-3, 1e-9


@dataclass(frozen=True)
class Release:
    """Some steps of one mechanism.

    Attributes
    ----------
    sigma : float
        Standard deviation of the noise in units of what a patient adds at most, above 0.
    share : float
        q, the probability with which a patient comes to a step, in (0, 1].
    steps : int
        How many, at least 1.
    """

    sigma: float
    share: float = 1.0
    steps: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError if it is none: without noise there is no epsilon."""
        if not (self.sigma > 0 and 0 < self.share <= 1 and self.steps >= 1):
            raise ValueError(f"{self}: sigma is above 0, share above 0 and 1 at most, steps 1 or more")


def epsilon_together(releases: Sequence[Release], delta: float, method: MethodName) -> float:
    """Return an epsilon of several releases together.

    Parameters
    ----------
    releases : sequence of Release
        In any order; none cost nothing.
    delta : float
        In (0, 1).
    method : {"RDP", "PRV", "RDP, integer orders, classic"}
        Rényi divergences of Opacus' orders, converted after Balle et al. 2020; privacy random variables (Gopi, Lee &
        Wutschitz 2021); or what papers until 2020 say: orders 2 to 256 and the conversion of Mironov 2017, proposition
        3, for comparison with them.

    Raises
    ------
    ConfigError
        If Opacus is not installed.
    ValueError
        If delta is out of bounds.
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta {delta}, not between 0 and 1")
    return _of_history(tuple(releases), delta, method) if releases else 0.0


@lru_cache(maxsize=256)
def _of_history(releases: tuple[Release, ...], delta: float, method: MethodName) -> float:
    """Return it of some; a node asks for the same at each message."""
    try:
        from opacus.accountants import PRVAccountant, RDPAccountant  # type: ignore[import-untyped]
        from opacus.accountants.analysis.rdp import compute_rdp  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError("Opacus is not installed: pip install 'flower-dgan[privacy]'.") from error
    if method == "RDP, integer orders, classic":
        orders = [*_INTEGER_ORDERS]
        of_each = [
            compute_rdp(q=each.share, noise_multiplier=each.sigma, steps=each.steps, orders=orders) for each in releases
        ]
        divergences = [sum(map(float, of_order)) for of_order in zip(*of_each, strict=True)]
        found = [d + math.log(1 / delta) / (order - 1) for d, order in zip(divergences, orders, strict=True)]
        return float(min(found))
    accountant = RDPAccountant() if method == "RDP" else PRVAccountant()
    accountant.history = [(each.sigma, each.share, each.steps) for each in releases]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order")  # others would lower the figure, which is a bound anyway
        return float(accountant.get_epsilon(delta=delta))


def epsilon_of_all(mu: float, drawn: Sequence[Release], delta: float) -> float:
    """Return what releases to all patients and steps of drawn ones cost together.

    It never falls as either grows: by themselves the first have their exact figure, which is below that of RDP.

    Parameters
    ----------
    mu : float
        Of the releases to all together, see :mod:`flower_dgan.privacy.gaussian_mechanism`; 0 for none.
    drawn : sequence of Release
        The steps, chosen in view of those before or not (Feldman & Zrnic 2021, section 4).
    delta : float
        In (0, 1).

    Raises
    ------
    ConfigError
        If there are steps and Opacus is not installed.
    ValueError
        If mu or delta is out of bounds.
    """
    if not drawn:
        from flower_dgan.privacy.gaussian_mechanism import epsilon_of  # scipy, which settings come without

        return epsilon_of(mu, delta)
    return epsilon_together([*([Release(1 / mu)] if mu else []), *drawn], delta, "RDP")


def method_of_all(drawn: Sequence[Release]) -> str:
    """Return how :func:`epsilon_of_all` found its figure, for a ledger."""
    from flower_dgan.privacy.gaussian_mechanism import METHOD as EXACT

    return METHOD if drawn else EXACT


@lru_cache(maxsize=64)
def noise_of_steps(epsilon: float, delta: float, share: float, steps: int, mu: float) -> float:
    """Return the least noise of so many steps that cost epsilon together with releases of ``mu``, by RDP.

    Parameters
    ----------
    epsilon, delta : float
        What all may cost; above 0, and in (0, 1).
    share : float
        q, in (0, 1].
    steps : int
        At least 1.
    mu : float
        Of the releases to all patients; 0 for none.

    Returns
    -------
    float
        Sigma in units of what a patient adds at most; 0.3 % above the least at most.

    Raises
    ------
    ConfigError
        If no noise does, as the releases to all cost as much by themselves; or Opacus is not installed.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]

    def beyond(logarithm: float) -> float:
        found = epsilon_of_all(mu, [Release(math.exp(logarithm), share, steps)], delta)
        return math.log(max(found, _NOTHING) / epsilon)

    low, high = math.log(_LEAST_NOISE), math.log(_MOST_NOISE)
    if beyond(high) > 0:
        raise ConfigError(
            f"No noise lets {steps:,} steps cost epsilon {epsilon:g} at delta {delta:g}: set fewer, or a larger "
            "algorithm.epsilon."
        )
    if beyond(low) <= 0:
        return _LEAST_NOISE
    return math.exp(brentq(beyond, low, high, xtol=_NEAR, rtol=_NEAR / 100) + 1.1 * _NEAR)
