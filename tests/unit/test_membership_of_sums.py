"""Whether a patient is in a sum with noise: a likelihood-ratio test tells it as often as theory allows, and no more.

The server knows all other patients, and what this one would add, v. Of a sum with noise of sigma the best test looks at
its part along v (Neyman & Pearson): the area under its curve is Phi(1 / (sigma sqrt 2)), 0.575 at epsilon 1 and 0.694
at 3.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from flower_dgan.lazily import torch
from flower_dgan.privacy import noise
from flower_dgan.privacy.class_sums import Layout
from flower_dgan.privacy.fourier_features import FourierFeatures
from flower_dgan.privacy.gaussian_mechanism import sigma_of
from flower_dgan.privacy.noise import GRID, noisy, seeded_bytes

TRIES = 1_500
LAYOUT = Layout(classes=2, features=40, count_share=0.05)


@pytest.fixture(scope="module")
def sums() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sum without a patient, and with: the features are those of a training."""
    images = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = FourierFeatures(64, 20, 0.4)(images).double().numpy()
    patients = [(each[None], np.array([index % 2])) for index, each in enumerate(features)]
    return LAYOUT.add_up(patients[1:]), LAYOUT.add_up(patients)


def area(sums: tuple[NDArray[np.int64], NDArray[np.int64]], sigma: float) -> float:
    """Return the area under the curve of the test between so many releases without the patient and with."""
    without, with_them = sums
    direction = (with_them - without) / GRID

    def scores(total: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
        random_bytes = seeded_bytes(seed)
        released = [noisy(total, sigma, random_bytes) for _ in range(TRIES)]
        return np.array([((each - without) / GRID * direction).sum() for each in released])

    absent, present = scores(without, 1), scores(with_them, 2)
    above = (present[:, None] > absent).mean() + (present[:, None] == absent).mean() / 2
    return float(above)


@pytest.mark.parametrize(("epsilon", "allowed"), [(1.0, 0.575), (3.0, 0.694)])
def test_a_patient_is_found_as_often_as_theory_allows(
    epsilon: float, allowed: float, sums: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> None:
    """Within three standard errors of 0.0106 (Hanley & McNeil 1982), from below and from above."""
    sigma = sigma_of(epsilon, 1e-5)
    assert norm.cdf(1 / (sigma * 2**0.5)) == pytest.approx(allowed, abs=5e-4)
    assert area(sums, sigma) == pytest.approx(allowed, abs=0.032)


@pytest.mark.parametrize("left", [0.0, 0.5])
def test_noise_that_is_missing_is_seen(
    left: float, sums: tuple[NDArray[np.int64], NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that switches it off, or halves it, is beyond what theory allows at epsilon 3 by ten standard errors."""
    drawn = noise.normals
    monkeypatch.setattr(noise, "normals", lambda count, random_bytes: left * drawn(count, random_bytes))
    assert area(sums, sigma_of(3.0, 1e-5)) > 0.694 + 0.106
