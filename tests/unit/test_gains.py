"""Gains over patients, with means and spreads made by hand, and an interval that is held against what it promises."""

import numpy as np
import pytest

from flower_dgan.tasks.gains import FEWEST_PATIENTS, Gain, Paired, gain_of, mean_interval


def test_means_are_over_patients_and_the_spread_is_over_trainings() -> None:
    gain = gain_of(
        [
            Paired(0, "p", 0.5, 0.7),
            Paired(1, "p", 0.5, 0.9),
            Paired(0, "q", 0.6, 0.6),
            Paired(1, "q", 0.8, 0.7),
            Paired(1, "r", 0.2, 0.2),
        ],
        "highest",
    )
    # patients gain 0.3, -0.05 and 0; trainings (0.2 + 0) / 2 = 0.1 and (0.4 - 0.1 + 0) / 3 = 0.1
    assert gain == Gain(
        patients=3,
        trainings=2,
        before=pytest.approx((0.5 + 0.7 + 0.2) / 3),
        after=pytest.approx((0.8 + 0.65 + 0.2) / 3),
        mean=pytest.approx(0.25 / 3),
        deviation=pytest.approx(0.0, abs=1e-12),
        interval=None,
        agree=True,
    )


def test_of_one_training_there_is_no_spread() -> None:
    gain = gain_of([Paired(0, "p", 0.5, 0.7)], "highest")
    assert gain is not None
    assert (gain.deviation, gain.verdict) == (None, "too few")
    spread = gain_of([Paired(0, "p", 0.5, 0.7), Paired(1, "p", 0.5, 0.6)], "highest")
    assert spread is not None
    assert spread.deviation == pytest.approx(0.1 / 2**0.5)


def test_several_members_figures_of_a_patient_count_by_their_mean() -> None:
    gain = gain_of([Paired(0, "p", 0.4, 0.6), Paired(0, "p", 0.2, 0.8), Paired(0, "q", 0.5, 0.5)], "highest")
    assert gain is not None
    assert (gain.patients, gain.before, gain.mean) == (2, pytest.approx(0.4), pytest.approx(0.2))


def test_nothing_gains_nothing() -> None:
    assert gain_of([], "highest") is None


def test_less_is_a_gain_where_the_lowest_is_best() -> None:
    gain = gain_of([Paired(0, "p", 12.0, 9.0)], "lowest")
    assert gain is not None
    assert (gain.before, gain.after, gain.mean) == (12.0, 9.0, 3.0)


@pytest.mark.parametrize(
    ("patients", "differences", "verdict"),
    [
        (FEWEST_PATIENTS - 1, 0.1, "too few"),
        (FEWEST_PATIENTS, 0.1, "better"),
        (FEWEST_PATIENTS, -0.1, "worse"),
        (FEWEST_PATIENTS, 0.0, "open"),
    ],
)
def test_a_claim_wants_six_patients_and_an_interval_beside_zero(
    patients: int, differences: float, verdict: str
) -> None:
    noise = [0.01 * (-1) ** index for index in range(patients)]
    pairs = [Paired(seed, str(k), 0.5, 0.5 + differences + noise[k]) for k in range(patients) for seed in range(2)]
    gain = gain_of(pairs, "highest")
    assert gain is not None
    assert gain.verdict == verdict


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.1,), "one seed"),
        ((0.1, 0.2), "better"),
        ((0.3, -0.1), "seeds differ"),
        ((0.3, 0.0), "seeds differ"),
        ((-0.3, -0.1, -0.2), "worse"),
        ((-0.3, -0.1, 0.01), "seeds differ"),
        ((0.0,), "open"),
    ],
)
def test_a_claim_wants_trainings_that_agree(gains: tuple[float, ...], verdict: str) -> None:
    """Ten patients who all gain alike: their interval is beside 0 whatever a single training says."""
    pairs = [Paired(seed, str(k), 0.5, 0.5 + each) for seed, each in enumerate(gains) for k in range(10)]
    gain = gain_of(pairs, "highest")
    assert gain is not None
    assert gain.verdict == verdict


def test_five_on_one_side_are_likely_and_six_are_not() -> None:
    assert 2 * 0.5 ** (FEWEST_PATIENTS - 1) > 0.05 > 2 * 0.5**FEWEST_PATIENTS


def test_the_interval_of_two_values_is_all_that_their_means_can_be() -> None:
    assert mean_interval(np.array([1.0, 3.0])) == (1.0, 3.0)


def test_the_interval_of_many_is_that_of_the_central_limit() -> None:
    values = np.linspace(-1, 1, 4001)
    # the standard deviation of a uniform distribution of width 2 is 1 / sqrt(3)
    half = 1.96 / np.sqrt(3 * 4001)
    np.testing.assert_allclose(mean_interval(values), (-half, half), rtol=0.06)


def test_the_interval_is_the_same_each_time_and_the_same_under_shift_and_scale() -> None:
    values = np.array([0.1, 0.4, -0.2, 0.3, 0.8, 0.05, 0.2])
    low, high = mean_interval(values)
    assert (low, high) == mean_interval(values)
    assert mean_interval(2 * values + 1) == pytest.approx((2 * low + 1, 2 * high + 1))


@pytest.mark.parametrize("patients", [6, 10])
def test_the_interval_holds_the_mean_as_often_as_it_says(patients: int) -> None:
    """Plain percentiles would hold it in 0.86 (6 patients) and 0.91 of the cases (10)."""
    draws = np.random.default_rng(3).normal(size=(400, patients))
    held = [low <= 0 <= high for low, high in map(mean_interval, draws)]
    assert 0.92 <= np.mean(held) <= 0.98
