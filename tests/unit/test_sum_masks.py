"""Masks cancel in the sum of all and hide each part; shares of rounded noise are worth what is paid for."""

import hashlib
import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.privacy.gaussian_mechanism import epsilon_of
from flower_dgan.privacy.masks import add_up, digest_of, is_signed, mask, public_identity, public_key, sign
from flower_dgan.privacy.shared_noise import aliasing, require_headroom, share_of
from flower_dgan.resolve import resolve


def private_keys(seed: str, sites: int) -> dict[bytes, bytes]:
    """Keys by identities."""
    return {bytes([site]) * 32: hashlib.sha256(f"{seed} {site}".encode()).digest() for site in range(sites)}


def masked(vectors: list[np.ndarray], seed: str = "a", told: bytes = b"sum") -> list[np.ndarray]:
    private = private_keys(seed, len(vectors))
    keys = {identity: public_key(each) for identity, each in private.items()}
    digest = digest_of(told, keys)
    return [
        vector.view(np.uint64) + mask(each, identity, keys, digest, vector.size)
        for (identity, each), vector in zip(private.items(), vectors, strict=True)
    ]


def chi_square(part: np.ndarray) -> float:
    """Of the 256 values of a byte: 255 on average where all are alike, with a deviation of 23."""
    counts = np.bincount(np.frombuffer(part.tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(np.square(counts - expected).sum() / expected)


@pytest.mark.parametrize("sites", [2, 3, 8])
def test_the_sum_of_all_is_that_of_what_was_hidden(sites: int) -> None:
    generator = np.random.default_rng(sites)
    vectors = [generator.integers(-(2**50), 2**50, 100) for _ in range(sites)]
    assert (add_up(masked(vectors)) == np.sum(vectors, axis=0)).all()


def test_a_part_of_zeros_has_bytes_that_are_all_alike() -> None:
    """As have two parts of three together: what is left of the third's masks. Without masks it is 256 times as much."""
    zeros = [np.zeros(20_000, np.int64)] * 3
    parts = masked(zeros)
    for part in [*parts, parts[0] + parts[1], parts[0] - parts[2]]:
        assert 150 < chi_square(part) < 360
    assert chi_square(zeros[0]) > 10**6
    assert not any((one == other).any() for one, other in pairwise(parts))


def test_the_same_vector_under_other_keys_is_another() -> None:
    vector = np.arange(5000)
    first, second = masked([vector] * 3)[0], masked([vector] * 3, "b")[0]
    assert not (first == second).any()
    assert 150 < chi_square(first - second) < 360


def test_sites_that_were_told_of_different_sums_have_masks_that_do_not_cancel() -> None:
    zeros = [np.zeros(20_000, np.int64)] * 2
    assert 150 < chi_square(add_up([masked(zeros, told=b"sum")[0], masked(zeros, told=b"another")[1]])) < 360


def test_a_signature_is_of_one_identity_on_one_key_for_one_sum() -> None:
    mine, other = bytes(range(32)), bytes(range(1, 33))
    signature = sign(mine, b"sum", b"k" * 32)
    assert is_signed(public_identity(mine), b"sum", b"k" * 32, signature)
    assert not is_signed(public_identity(other), b"sum", b"k" * 32, signature)
    assert not is_signed(public_identity(mine), b"another", b"k" * 32, signature)
    assert not is_signed(public_identity(mine), b"sum", b"l" * 32, signature)
    assert not is_signed(b"\xff" * 32, b"sum", b"k" * 32, bytes(64))


def test_a_key_that_nobody_can_agree_with_is_refused() -> None:
    """0 has the order 1: whoever agrees with it has a secret that everybody knows."""
    private = private_keys("a", 2)
    mine, other = private
    keys = {mine: public_key(private[mine]), other: bytes(32)}
    with pytest.raises(ValueError, match="shared"):
        mask(private[mine], mine, keys, b"digest", 10)


def sum_of_two_rounded(steps: float, reach: int) -> np.ndarray:
    """Probabilities of rint(X_1) + rint(X_2) from -reach to reach."""
    at = np.arange(-reach, reach + 1)
    each = norm.cdf((at + 0.5) / steps) - norm.cdf((at - 0.5) / steps)
    return np.convolve(each, each)[reach : 3 * reach + 1]


def rounded_sum(steps: float, reach: int) -> np.ndarray:
    """Probabilities of rint(X_1 + X_2 + U), by the second difference of the second integral of a Gaussian density."""
    deviation, at = steps * math.sqrt(2), np.arange(-reach - 1, reach + 2)
    twice = at * norm.cdf(at / deviation) + deviation * norm.pdf(at / deviation)
    return twice[2:] - 2 * twice[1:-1] + twice[:-2]


@pytest.mark.parametrize("steps", [1.0, 1.5, 2.0])
def test_rounded_shares_add_up_to_a_rounded_sum_but_for_aliases(steps: float) -> None:
    differ = np.abs(sum_of_two_rounded(steps, 40) - rounded_sum(steps, 40)).max()
    assert differ <= aliasing(steps, 2)


def test_aliases_by_hand() -> None:
    """Of s = 1, a = 2 exp(-pi^2 / 2) = 0.014384: 0.028768 of one, (1 + a)^2 - 1 + a = 0.043359 of two; of 100 none."""
    assert aliasing(1.0, 1) == pytest.approx(0.028768, rel=1e-4)
    assert aliasing(1.0, 2) == pytest.approx(0.043359, rel=1e-4)
    assert aliasing(100.0, 1024) == 0.0
    small = np.abs(sum_of_two_rounded(0.3, 9) - rounded_sum(0.3, 9)).max()
    assert small > 0.05  # where noise is smaller than a step rounding matters, and it is refused


def test_shares_by_hand() -> None:
    assert share_of(1.2, 9) == pytest.approx(0.4)
    assert share_of(100 / 2**16, 1) == 100 / 2**16
    with pytest.raises(ValueError, match=r"noise of 99.9 steps"):
        share_of(99.9 / 2**16, 1)
    with pytest.raises(ValueError, match="0 sites"):
        share_of(1.0, 0)


def test_a_sum_has_room_for_all_sites() -> None:
    """1,024 of 2^32 patients in steps of 2^-16 are 2^58 of 2^63; noise of 10^13 patients is 4.7 x 10^19 at eight."""
    require_headroom(1024, 1.0)
    require_headroom(8, 1e12)
    for sites, share in ((8, 1e13), (1025, 1.0), (0, 1.0)):
        with pytest.raises(ValueError, match="sum"):
            require_headroom(sites, share)


@pytest.mark.parametrize(("honest", "alone"), [(8, 10.207), (40, 29.037)])
def test_what_is_left_if_all_others_collude(honest: int, alone: float) -> None:
    """Epsilon 3 of the sum of 8 is 10.2 then, and 29.0 of 40; if half of 8 are honest it is 4.46 (as two releases)."""
    algorithm = algorithm_of(
        resolve(f"privacy=moments-together data.condition=none downstream=none algorithm.honest_sites={honest}")
    )
    assert isinstance(algorithm, DpMerf)
    cost = algorithm.cost
    assert (cost["epsilon"], cost["honest_sites"]) == (3.0, honest)
    assert cost["sigma"] == pytest.approx(1.3906, abs=5e-5)
    assert cost["alone"] == pytest.approx(alone, abs=5e-3)
    assert epsilon_of(algorithm.release_cost_if(honest // 2), 1e-5) == pytest.approx(4.463, abs=1e-3)
    assert epsilon_of(algorithm.release_cost_if(10 * honest), 1e-5) == pytest.approx(3.0, abs=1e-6)
