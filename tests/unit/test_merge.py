"""The merge rules on gradients of a few numbers, computed by hand."""

from collections.abc import Iterator, Sequence
from typing import get_args

import pytest
import torch

from flower_dgan.algorithm.merge import Part, client_weights, merge_rule
from flower_dgan.config import MergeName
from flower_dgan.errors import FederationError

RULES: tuple[MergeName, ...] = get_args(MergeName)
ROBUST = [rule for rule in RULES if rule not in ("samples", "equal")]
NAMES = "abcdefgh"


def parts(*gradients: Sequence[float]) -> list[Part]:
    """Return one part a client, of a parameter (2,) and a parameter (n - 2, 1), with the weight 1 / K."""
    rows = [torch.tensor(gradient, dtype=torch.float32) / len(gradients) for gradient in gradients]
    return [[row[:2].clone(), row[2:, None].clone()] for row in rows]


def merged(rule: MergeName, *gradients: Sequence[float], times: int = 1) -> tuple[list[float], list[float]]:
    """Return what a rule makes of the gradients of as many clients, and their weights, after so many steps."""
    chosen = merge_rule(rule)
    for _ in range(times):
        weights = client_weights(rule, dict.fromkeys(NAMES[: len(gradients)], 7))
        (first, second), got = chosen(weights, parts(*gradients))
        assert list(got) == list(weights)
        assert (first.shape, second.shape) == ((2,), (len(gradients[0]) - 2, 1))
    return [*first.tolist(), *second.flatten().tolist()], list(got.values())


def close(found: tuple[list[float], list[float]], gradient: Sequence[float], weights: Sequence[float]) -> None:
    torch.testing.assert_close(torch.tensor(found[0]), torch.tensor(gradient, dtype=torch.float32))
    torch.testing.assert_close(torch.tensor(found[1]), torch.tensor(weights, dtype=torch.float32))


def test_weights() -> None:
    assert client_weights("samples", {"a": 10, "b": 30}) == {"a": 0.25, "b": 0.75}
    assert client_weights("equal", {"a": 10, "b": 30}) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize("rule", ROBUST)
def test_robust_rules_trust_no_image_counts(rule: MergeName) -> None:
    assert client_weights(rule, {"a": 10, "b": 30, "c": 10**6, "d": 1}) == dict.fromkeys("abcd", 0.25)


@pytest.mark.parametrize("counts", [{}, {"a": 3, "b": 0}])
def test_weights_need_clients_with_images(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        client_weights("samples", counts)


@pytest.mark.parametrize("rule", ROBUST)
def test_robust_rules_need_three_clients(rule: MergeName) -> None:
    with pytest.raises(FederationError, match=f"merge={rule} needs feedback from at least 3 clients.* that of 2: "):
        client_weights(rule, {"a": 10, "b": 30})


def test_sum_holds_one_part_at_a_time_and_keeps_the_order_of_additions() -> None:
    torch.manual_seed(0)
    values = torch.randn(5, 100)
    held = 0

    def one_by_one() -> Iterator[Part]:
        nonlocal held
        for row in values:
            held += 1
            assert held <= 2  # the sum, and the part that is made
            yield [row.clone()]
            held -= held > 1

    (found,), got = merge_rule("samples")({"a": 0.5, "b": 0.5}, one_by_one())
    expected = values[0] + values[1] + values[2] + values[3] + values[4]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert got == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("clients", [3, 4, 5, 8])
def test_identical_clients_get_their_mean(rule: MergeName, clients: int) -> None:
    gradient = [1.0, -2.0, 0.0, 3e4]
    found, weights = merged(rule, *[gradient] * clients)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(gradient, dtype=torch.float32))
    assert sum(weights) == pytest.approx(1)


@pytest.mark.parametrize("rule", RULES)
def test_zeros_of_all_clients_stay_zeros(rule: MergeName) -> None:
    close(merged(rule, *[[0.0] * 3] * 4, times=2), [0.0] * 3, merged(rule, *[[0.0] * 3] * 4)[1])


@pytest.mark.parametrize("rule", ROBUST)
def test_a_gradient_beyond_all_bounds_does_no_harm(rule: MergeName) -> None:
    good = [1.0, 2.0, 2.0]
    for bad in ([1e38, -1e38, 1e38], [float("inf"), float("nan"), 1.0]):
        found, _ = merged(rule, good, bad, good, good)
        assert torch.tensor(found).isfinite().all()


def test_median_of_an_odd_and_an_even_number() -> None:
    # entry by entry the middle value: 2 and 5 are of the second client, 0 of the first
    close(merged("median", [1, 9, 0], [2, 5, -7], [90, 4, 3]), [2, 5, 0], [1 / 3, 2 / 3, 0])
    # the mean of the middle two: of 2 and 3, of 5 and 6, of -1 and 4
    found = merged("median", [1, 5, 9], [2, 4, -1], [3, 6, 4], [8, 7, -5])
    close(found, [2.5, 5.5, 1.5], [1 / 6, 2 / 6, 3 / 6, 0])


def test_median_of_ties_is_their_value_and_counts_the_first_of_them() -> None:
    close(merged("median", [1, 2, 3], [1, 2, 0], [1, 9, 3]), [1, 2, 3], [1 / 3, 2 / 3, 0])


def test_trimmed_mean_leaves_the_extremes_of_each_entry_out() -> None:
    found = merged("trimmed-mean", [1, 5, 9], [2, 4, -1], [3, 6, 4], [8, 7, -5], [100, 5, 0])
    # means of 2, 3, 8, of 5, 6, 5 and of 4, -1, 0
    close(found, [13 / 3, 16 / 3, 1], [1 / 9, 2 / 9, 3 / 9, 1 / 9, 2 / 9])


def test_bounded_shortens_to_twice_the_median_length() -> None:
    # lengths 5, 1, 1, 3; the median is 2, the bound 4
    found = merged("bounded", [3, 4, 0], [1, 0, 0], [0, 0, -1], [0, 3, 0])
    close(found, [(2.4 + 1) / 4, (3.2 + 3) / 4, -1 / 4], [0.8 / 4, 1 / 4, 1 / 4, 1 / 4])


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_agreement_ignores_a_flipped_client_of_four(size: float) -> None:
    good = [1.0, -2.0, 2.0]
    close(merged("agreement", good, [-size * value for value in good], good, good), good, [1 / 3, 0, 1 / 3, 1 / 3])


def test_agreement_shortens_a_huge_client_that_agrees() -> None:
    # lengths 3, 3, 3, 300: the last one to 6
    good = [1.0, -2.0, 2.0]
    found = merged("agreement", good, good, good, [100 * value for value in good])
    close(found, [5 / 4 * value for value in good], [1 / 4, 1 / 4, 1 / 4, 0.02 / 4])


def test_agreement_ignores_a_client_that_says_nothing() -> None:
    close(merged("agreement", [2.0, 0, 0], [0.0] * 3, [2.0, 0, 0], [2.0, 0, 0]), [2, 0, 0], [1 / 3, 0, 1 / 3, 1 / 3])


def test_agreement_is_a_moving_average_by_name() -> None:
    rule = merge_rule("agreement")
    good, bad = [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]

    def weight_of_last(*gradients: list[float], names: str = "abcd") -> float:
        weights = client_weights("agreement", dict.fromkeys(names, 7))
        return list(rule(weights, parts(*gradients))[1].values())[-1]

    # agreement of d is 0.05, then 0.05 (0.95 - 1) < 0, then positive only after as much good as there was bad
    assert weight_of_last(good, good, good, good) == 0.25
    assert weight_of_last(good, good, good, bad) == 0
    assert weight_of_last(good, good, good, names="abc") == pytest.approx(1 / 3)  # d is not there
    assert weight_of_last(good, good, good, good, names="abce") == 0.25  # another one is
    assert weight_of_last(good, good, good, good) == 0.25


def test_when_nobody_agrees_all_count() -> None:
    close(merged("agreement", [1, 0, 0], [0, 1, 0], [0, 0, 1]), [1 / 3] * 3, [1 / 3] * 3)
