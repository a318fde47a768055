"""Noise in whole steps, and what patients add to a sum."""

import numpy as np
import pytest
from scipy.stats import kstest

from flower_dgan.privacy.class_sums import Layout, in_units
from flower_dgan.privacy.noise import GRID, noisy, normals, seeded_bytes, whole_steps


def test_normals_are_standard_normal() -> None:
    drawn = normals(20_001, seeded_bytes(1))
    assert drawn.shape == (20_001,)
    assert kstest(drawn, "norm").pvalue > 0.01
    assert abs(np.corrcoef(drawn[:10_000], drawn[10_001:])[0, 1]) < 0.03  # both halves come from the same uniforms


def test_normals_by_hand() -> None:
    """Of uniforms 1/2^53 and 1/2 radius and angle are sqrt(2 ln 2^53) and pi; of 1 and 1 they are 0 and 2 pi."""
    first = np.array([0, 2**52 - 1], np.uint64) << np.uint64(11)
    assert normals(2, lambda count: first.tobytes()) == pytest.approx([-np.sqrt(2 * 53 * np.log(2)), 0.0], abs=1e-9)
    last = np.array([2**53 - 1, 2**53 - 1], np.uint64) << np.uint64(11)
    assert normals(1, lambda count: last.tobytes()) == pytest.approx([0.0])


def test_seeded_bytes_are_the_same_on_every_machine() -> None:
    """Features are public only if all have the same."""
    assert seeded_bytes(7)(8).hex() == "a4fbe929b83440df"
    assert seeded_bytes(7)(3) == seeded_bytes(7)(8)[:3]


def test_what_is_added_is_noise_of_sigma_whatever_the_sum() -> None:
    """And the noise is the same whole number of steps: the sum shines through no last bit."""
    zeros, large = np.zeros((50, 40), np.int64), np.full((50, 40), 10**9, np.int64)
    drawn = noisy(zeros, 2.0, seeded_bytes(3))
    assert drawn.dtype == np.int64
    assert (noisy(large, 2.0, seeded_bytes(3)) - large == drawn).all()
    assert (drawn / GRID).std() == pytest.approx(2.0, rel=0.06)
    assert (noisy(zeros, 2.0) != noisy(zeros, 2.0)).any()


@pytest.mark.parametrize(("sigma", "dtype"), [(0.0, np.int64), (float("nan"), np.int64), (1.0, np.float64)])
def test_no_sum_leaves_without_noise(sigma: float, dtype: type) -> None:
    with pytest.raises(ValueError, match="noise of"):
        noisy(np.zeros(3, dtype), sigma)


def test_no_patient_adds_more_than_one() -> None:
    """3-4-5 is shortened to length 1; 0.6-0.8 stays, cut off towards 0; what is not finite adds nothing."""
    steps = whole_steps(np.array([[3.0, -4.0], [0.6, -0.8], [np.nan, 0.5], [np.inf, 0.0], [1e300, 1e300]]))
    assert steps[1].tolist() == [int(0.6 * GRID), -int(0.8 * GRID)]
    assert np.abs(steps[0] - steps[1]).max() <= 1
    assert not steps[2:4].any()
    assert (np.square(steps.astype(object)).sum(axis=1) <= GRID**2).all()


def test_patients_count_alike() -> None:
    """One with two images of class 0, and one with an image of class 0 and one of class 1, half in each; c is 0.36."""
    layout = Layout(classes=2, features=2, count_share=0.36)
    east, north = [1.0, 0.0], [0.0, 1.0]
    total = layout.add_up([(np.array([east, north]), np.array([0, 0])), (np.array([east, east]), np.array([0, 1]))])
    expected = [[0.8 * (0.5 + 0.5), 0.8 * 0.5, 0.6 * 1.5], [0.8 * 0.5, 0.0, 0.6 * 0.5]]
    assert in_units(total) == pytest.approx(np.array(expected), abs=2 / GRID)
    assert layout.counts(in_units(total)) == pytest.approx(np.array([1.5, 0.5]), abs=1e-4)
    assert layout.means(in_units(total))[0] == pytest.approx(np.array([1 / 1.5, 0.5 / 1.5]), abs=1e-4)


def test_one_patient_moves_the_sum_by_one_at_most() -> None:
    layout, generator = Layout(3, 5, 0.1), np.random.default_rng(0)
    features = generator.normal(size=(4, 5)) * 100  # longer than they should be
    patients = [(features[:3], np.array([0, 1, 1])), (features[3:], np.array([2]))]
    both, one = layout.add_up(patients), layout.add_up(patients[:1])
    assert np.linalg.norm(in_units(both - one)) <= 1.0


def test_signal_to_noise() -> None:
    """100 patients of 2 classes who are alike: rows of length 50, against noise of 2 in each of 2 x 5 numbers."""
    layout = Layout(2, 4, 0.5)
    features = np.tile([0.5, 0.5, 0.5, 0.5], (100, 1))
    total = layout.add_up((each[None], np.array([index % 2])) for index, each in enumerate(features))
    assert layout.signal_to_noise(total, 2.0) == pytest.approx(2 * 50**2 / (4 * 10), rel=1e-3)
    assert layout.expected_signal_to_noise(100, 2.0) == pytest.approx(2 * 50**2 / (4 * 10))


def test_counts_that_stand_out_and_sums_that_can_be() -> None:
    layout = Layout(2, 4, 0.25)
    assert layout.stands_out(np.array([6.1, 5.9]), 1.0).tolist() == [True, False]
    honest = in_units(layout.add_up((np.full((1, 4), 0.5), np.array([0])) for _ in range(30)))
    assert layout.is_plausible(in_units(noisy((GRID * honest).astype(np.int64), 1.0, seeded_bytes(1))), 1.0)
    assert not layout.is_plausible(honest * [[3, 3, 3, 3, 1]], 1.0)
    assert not layout.is_plausible(honest * [[1, 1, 1, 1, -1]], 1.0)
