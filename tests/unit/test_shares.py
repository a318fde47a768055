"""Bounded shares, by hand, and for any numbers of images that clients may claim."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.judging_together import JudgingTogether
from flower_dgan.algorithms.uagan import class_shares
from flower_dgan.data import to_one_hot
from flower_dgan.errors import ConfigError
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, bound_counts, draw_shared
from flower_dgan.gan.learning import client_weights
from flower_dgan.gan.shares import bound_shares
from flower_dgan.resolve import resolve
from tests.states import claims, small_generator, state_of

GENERATOR = small_generator()


def test_what_is_cut_off_goes_to_the_others_in_proportion() -> None:
    # 0.3 is cut off, and shared 3 to 1
    assert bound_shares({"a": 0.8, "b": 0.15, "c": 0.05}, 0.5, 3) == pytest.approx({"a": 0.5, "b": 0.375, "c": 0.125})


def test_several_beyond_the_bound_one_of_them_only_by_what_the_others_lost() -> None:
    # a loses 0.3, of which b gets 0.3 * 0.25 / 0.4 and is beyond 0.3 then; c and d share 0.4 2 to 1
    shares = {"a": 0.6, "b": 0.25, "c": 0.1, "d": 0.05}
    expected = {"a": 0.3, "b": 0.3, "c": 0.8 / 3, "d": 0.4 / 3}
    assert bound_shares(shares, 0.3, 4) == pytest.approx(expected)


def test_of_too_few_shares_all_become_equal() -> None:
    assert bound_shares({"a": 0.9, "b": 0.1}, 0.3, 5) == pytest.approx({"a": 0.5, "b": 0.5})
    assert bound_shares({"a": 1.0}, 0.5, 5) == {"a": 1.0}


def test_within_the_bound_and_with_two_clients_nothing_changes() -> None:
    shares = {"a": 1 / 6, "b": 2 / 6, "c": 3 / 6}
    assert bound_shares(shares, 0.5, 3) == shares
    state = state_of(claims({"a": 1, "b": 2, "c": 3}), largest_share=0.5)
    assert client_weights(state, dict.fromkeys("abc", 1.0), by_samples=True) == (shares, frozenset())
    assert bound_shares({"a": 0.9, "b": 0.1}, 0.5, 2) == {"a": 0.9, "b": 0.1}


@given(st.lists(st.integers(1, 10_000_000), min_size=3, max_size=9), st.floats(0.01, 1.0))
def test_whatever_clients_claim(counts: list[int], largest: float) -> None:
    images = {str(index): count for index, count in enumerate(counts)}
    shares = {name: count / sum(counts) for name, count in images.items()}
    state = state_of(claims(images), generator=GENERATOR, largest_share=largest)
    bounded, capped = client_weights(state, dict.fromkeys(images, 1.0), by_samples=True)
    assert capped == {name for name, share in shares.items() if bounded[name] < share}
    assert list(bounded) == list(shares)
    assert sum(bounded.values()) == pytest.approx(1.0)
    assert max(bounded.values()) <= max(largest, 1 / len(counts)) * (1 + 1e-9)
    # Who has more images never weighs less, and those below the bound keep their proportions.
    by_count = sorted(zip(counts, bounded.values(), strict=True))
    assert all(first[1] <= second[1] * (1 + 1e-9) for first, second in itertools.pairwise(by_count))
    below = [name for name in shares if bounded[name] < max(largest, 1 / len(counts)) * (1 - 1e-9)]
    ratios = [bounded[name] / shares[name] for name in below]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)) if ratios else True


def test_shares_of_a_class_are_bounded_where_three_have_it() -> None:
    """All of a, b and c have a 0, only a and b a 1, and a alone a 2."""
    values = {"a": (0,) * 8 + (1,) * 9 + (2,), "b": (0, 1), "c": (0,)}
    clients = [
        ClientLabels(name, tuple(np.full((2, 2), value, np.uint8) for value in maps), 3, 0)
        for name, maps in values.items()
    ]
    label_maps = to_one_hot(np.array([[[0]], [[1]], [[2]]], np.uint8), 3)
    expected = torch.tensor([[0.5, 0.9, 1.0], [0.25, 0.1, 0.0], [0.25, 0.0, 0.0]])
    torch.testing.assert_close(class_shares(clients, label_maps, 0.5), expected)
    uagan = algorithm_of(resolve("downstream=none data.condition=class algorithm=uagan algorithm.merge=odds-by-class"))
    assert isinstance(uagan, JudgingTogether)
    torch.testing.assert_close(uagan.shares(clients, {}, label_maps, 0.5), expected)


@pytest.mark.parametrize("share", ["0", "-0.5", "1.5"])
def test_a_largest_share_that_is_none(share: str) -> None:
    with pytest.raises(ConfigError, match=r"algorithm.largest_share=.* must be in \(0, 1\]: 1 is no bound"):
        resolve(f"algorithm.largest_share={share}")


def test_label_maps_are_drawn_from_by_bounded_shares() -> None:
    """Of 10,000 blank ones of one client, 30 and 10: half are its own, and the others' are drawn 3 to 1."""
    assert bound_counts([10_000, 30, 10], 0.5) == [40, 30, 10]
    assert bound_counts([10_000, 30, 10], 1.0) == [10_000, 30, 10]
    assert bound_counts([10_000, 30], 0.5) == [10_000, 30]
    blank = np.zeros((8, 8), np.uint8)
    clients = [
        ClientLabels(name, (blank,) * count, 2, site)
        for site, (name, count) in enumerate({"a": 10_000, "b": 30, "c": 10}.items())
    ]
    drawn = draw_shared(clients, BundleSettings(1, 4000, 8, "none", 1, 0, largest_share=0.5), 1, 0)
    shares = torch.bincount(drawn.sites, minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.375, 0.125]), atol=0.03, rtol=0)
