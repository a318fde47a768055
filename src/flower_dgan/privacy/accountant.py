"""What many releases cost together, some of them of drawn patients: Opacus' accountants, each by its name.

A release is a Gaussian mechanism to which each patient comes with probability q, drawn anew for each step (Poisson),
and neighbours differ by one patient (add or remove). With q = 1 all come, and
:mod:`~flower_dgan.privacy.gaussian_mechanism` is exact; what is here is an upper bound. RDP is above PRV by 7 to 9 % in
long trainings, so a figure is told with the name of its method.

``pip install 'flower-dgan[privacy]'`` brings Opacus.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flower_dgan.errors import ConfigError

MethodName = Literal["RDP", "PRV", "RDP, integer orders, classic"]

_INTEGER_ORDERS = range(2, 257)


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
    if not releases:
        return 0.0
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
    return float(accountant.get_epsilon(delta=delta))
