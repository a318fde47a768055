"""What noise costs, held against figures of other programs and against arithmetic by hand."""

import math

import pytest
from scipy.integrate import quad
from scipy.stats import norm

from flower_dgan.privacy.accountant import MethodName, Release, epsilon_together
from flower_dgan.privacy.gaussian_mechanism import MOST_EPSILON, delta_of, epsilon_of, sigma_of

DELTA = 1e-5
CLASSIC: MethodName = "RDP, integer orders, classic"

LONG = Release(1.0, 64 / 12_000, 20_000)
LOUD = Release(0.8, 64 / 12_000, 20_000)
SMALL = Release(1.0, 32 / 1_000, 4_000)
LARGE = Release(1.1, 256 / 60_000, 14_100)
ONCE_AND_OFTEN = (Release(1.3906), Release(8.0, 512 / 1_438, 1_500))


@pytest.mark.parametrize(("epsilon", "sigma"), [(1.0, 3.7306), (3.0, 1.3906), (10.0, 0.4999)])
def test_noise_of_one_release(epsilon: float, sigma: float) -> None:
    assert sigma_of(epsilon, DELTA) == pytest.approx(sigma, abs=5e-5)
    assert epsilon_of(1 / sigma_of(epsilon, DELTA), DELTA) == pytest.approx(epsilon, rel=1e-9)


def test_delta_by_hand() -> None:
    """2 Phi(1/2) - 1, the total variation, at epsilon 0; Phi(-1/2) - e Phi(-3/2) at 1."""
    assert delta_of(0.0, 1.0) == pytest.approx(0.38292, abs=5e-6)
    assert delta_of(1.0, 1.0) == pytest.approx(0.30854 - math.e * 0.06681, abs=2e-5)
    assert delta_of(1.0, 0.0) == 0.0


@pytest.mark.parametrize(("epsilon", "mu"), [(0.5, 0.3), (3.0, 1.0), (7.0, 2.5)])
def test_delta_is_the_integral_of_what_one_density_is_above_e_to_the_epsilon_of_the_other(
    epsilon: float, mu: float
) -> None:
    def beyond(x: float) -> float:
        return float(max(0.0, norm.pdf(x - mu) - math.exp(epsilon) * norm.pdf(x)))

    start = epsilon / mu + mu / 2
    assert delta_of(epsilon, mu) == pytest.approx(quad(beyond, start, start + 12)[0], rel=1e-6)


def test_epsilon_has_ends() -> None:
    assert epsilon_of(0.0, DELTA) == 0.0
    assert epsilon_of(1e-6, DELTA) == 0.0  # the total variation is below delta
    assert epsilon_of(1e3, DELTA) == MOST_EPSILON
    for wrong in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="delta"):
            epsilon_of(1.0, wrong)
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="epsilon"):
            sigma_of(wrong, DELTA)


def test_two_releases_are_one_of_the_root_of_the_sum_of_their_squares() -> None:
    """3^2 + 4^2 = 5^2, and PRV, which knows nothing of that, finds the same up to its error of 0.01."""
    apart = [Release(1 / 0.3), Release(1 / 0.4)]
    assert epsilon_together(apart, DELTA, "PRV") == pytest.approx(epsilon_of(0.5, DELTA), abs=0.015)
    assert epsilon_of(0.5, DELTA) > max(epsilon_of(0.3, DELTA), epsilon_of(0.4, DELTA))


@pytest.mark.parametrize(
    ("releases", "method", "epsilon"),
    [
        ((LONG,), CLASSIC, 5.422),
        ((LONG,), "RDP", 4.802),
        ((LONG,), "PRV", 4.434),
        ((LOUD,), CLASSIC, 8.577),
        ((LOUD,), "RDP", 7.769),
        ((LOUD,), "PRV", 7.148),
        ((SMALL,), CLASSIC, 17.194),
        ((SMALL,), "RDP", 15.689),
        ((SMALL,), "PRV", 14.544),
        ((LARGE,), CLASSIC, 3.013),
        ((LARGE,), "RDP", 2.600),
        ((LARGE,), "PRV", 2.395),
        (ONCE_AND_OFTEN, "RDP", 9.929),
        (ONCE_AND_OFTEN, "PRV", 9.255),
    ],
)
def test_epsilon_of_drawn_patients(releases: tuple[Release, ...], method: MethodName, epsilon: float) -> None:
    found = epsilon_together(releases, DELTA, method)
    assert found == pytest.approx(epsilon, abs=6e-4), f"{method} of {releases}"


@pytest.mark.parametrize(
    ("releases", "epsilon"),
    [((LONG,), 4.424), ((LOUD,), 7.137), ((SMALL,), 14.533), ((LARGE,), 2.385), (ONCE_AND_OFTEN, 9.244)],
)
def test_epsilon_of_drawn_patients_by_pld(releases: tuple[Release, ...], epsilon: float) -> None:
    """By Google's accountant, which wants another attrs than Flower: in an environment that has it anyway."""
    dp = pytest.importorskip("dp_accounting", reason="dp-accounting wants attrs < 24, Flower a newer one")
    from dp_accounting import pld

    accountant = pld.PLDAccountant(value_discretization_interval=1e-4)
    for each in releases:
        step = dp.PoissonSampledDpEvent(each.share, dp.GaussianDpEvent(each.sigma))
        accountant.compose(dp.SelfComposedDpEvent(step, each.steps))
    assert accountant.get_epsilon(DELTA) == pytest.approx(epsilon, abs=6e-4)


def test_all_at_once_costs_what_the_exact_figure_says_or_more() -> None:
    """RDP is a bound, 3.250 of one release at 3; PRV is near it."""
    assert epsilon_together([Release(1.3906)], DELTA, "RDP") == pytest.approx(3.250, abs=6e-4)
    assert epsilon_together([Release(1.3906)], DELTA, "PRV") == pytest.approx(3.0, abs=0.015)
    assert epsilon_together([], DELTA, "PRV") == 0.0


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 1), (1.0, 0.0, 1), (1.0, 1.5, 1), (1.0, 1.0, 0), (math.nan, 1.0, 1)])
def test_what_is_no_release_is_refused(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="sigma is above 0"):
        Release(*wrong)
