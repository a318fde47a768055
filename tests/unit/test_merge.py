"""The merge rules on gradients of a few numbers, computed by hand."""

from collections.abc import Mapping, Sequence
from typing import get_args

import pytest
import torch
from torch import Tensor

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import MergeName, ReplayName
from flower_dgan.errors import FederationError
from flower_dgan.gan.exchange import Answer, Feedback, GeneratorInput
from flower_dgan.gan.learning import client_weights, sum_gradients
from flower_dgan.gan.merge import MergeRule, Weights, merge_rule
from flower_dgan.resolve import resolve
from tests.states import claims, small_generator, state_of

RULES: tuple[MergeName, ...] = get_args(MergeName)
GOOD, BAD, ZERO = [1.0, -2.0, 2.0], [-1.0, 2.0, -2.0], [0.0, 0.0, 0.0]


def weigh(rule: MergeRule, gradients: dict[str, Sequence[float]]) -> dict[str, float]:
    """Return the weights of one bundle, with equal weights given."""
    rows = torch.tensor(list(gradients.values()), dtype=torch.float32)
    return dict(rule(dict.fromkeys(gradients, 1 / len(gradients)), rows.clone))


def agreement(*gradients: Sequence[float]) -> list[float]:
    """Return what the clients get in their first bundle."""
    return list(weigh(merge_rule("agreement", {}), dict(zip("abcdefgh", gradients, strict=False))).values())


def weights_in_a_round(merge: MergeName, images: dict[str, int], late: Mapping[str, float] | None = None) -> Weights:
    """Return what clients with so many images weigh in a generator step, if they all say the same."""
    state = state_of(claims(images))
    inputs = GeneratorInput(torch.ones(2, 2, 8, 8), torch.ones(2, 2), torch.ones(2, 1, 8, 8), torch.zeros(2).long())
    proposals = dict.fromkeys(images, state.generator.propose(inputs))
    answers = dict.fromkeys(images, Answer(Feedback(torch.zeros(2), torch.ones(2, 1, 8, 8)), 0.0))
    discounts = dict.fromkeys(images, 1.0) | dict(late or {})
    return sum_gradients(state, 1, proposals, answers, discounts, merge=merge, final_rate=1.0).weights


def test_weights() -> None:
    assert weights_in_a_round("samples", {"a": 10, "b": 30}) == {"a": 0.25, "b": 0.75}
    assert weights_in_a_round("equal", {"a": 10, "b": 30}) == {"a": 0.5, "b": 0.5}
    got = weights_in_a_round("agreement", {"a": 1, "b": 30, "c": 10**6, "d": 1})
    assert got == pytest.approx(dict.fromkeys("abcd", 0.25))


def test_late_feedback_weighs_less() -> None:
    # 10 and 30 / 2 of 25; 1 and 1 / 4 of 5 / 4
    assert weights_in_a_round("samples", {"a": 10, "b": 30}, {"b": 0.5}) == {"a": 0.4, "b": 0.6}
    assert weights_in_a_round("equal", {"a": 10, "b": 30}, {"b": 0.25}) == {"a": 0.8, "b": 0.2}


def test_feedback_that_is_all_late_is_not_scaled_up_again() -> None:
    # 10 / 2 and 30 / 4 of 12.5, and together they are worth the newest one, 1 / 2
    assert weights_in_a_round("samples", {"a": 10, "b": 30}, {"a": 0.5, "b": 0.25}) == {"a": 0.2, "b": 0.3}
    assert weights_in_a_round("equal", {"a": 10}, {"a": 0.25}) == {"a": 0.25}
    three = weights_in_a_round("agreement", {"a": 1, "b": 2, "c": 3}, dict.fromkeys("abc", 0.75))
    assert three == pytest.approx(dict.fromkeys("abc", 0.25))


@pytest.mark.parametrize("kind", ["gradient", "target"])
@pytest.mark.parametrize("merge", ["samples", "equal", "agreement"])
def test_a_round_of_late_feedback_moves_the_generator_by_as_much_less(merge: MergeName, kind: ReplayName) -> None:
    """The first step of Adam has the length of its rate, whatever the length of the gradient."""
    inputs = GeneratorInput(torch.ones(2, 2, 8, 8), torch.ones(2, 2), torch.ones(2, 1, 8, 8), torch.zeros(2).long())
    moved = []
    for late in (1.0, 0.25):
        torch.manual_seed(0)
        half = small_generator(replay=kind)
        before = torch.nn.utils.parameters_to_vector(half.network.parameters()).detach().clone()
        proposals = dict.fromkeys("abc", half.propose(inputs))
        answers = dict.fromkeys("abc", Answer(Feedback(torch.zeros(2), torch.ones(2, 1, 8, 8)), 0.0))
        state = state_of(claims({"a": 1, "b": 2, "c": 3}), generator=half)
        sum_gradients(state, 1, proposals, answers, dict.fromkeys("abc", late), merge=merge, final_rate=1.0)
        after = torch.nn.utils.parameters_to_vector(half.network.parameters()).detach()
        moved.append(float((after - before).norm()))
    assert moved[1] == pytest.approx(0.25 * moved[0], rel=1e-2)


@pytest.mark.parametrize(("counts", "answered"), [({}, ""), ({"a": 3, "b": 1}, ""), ({"a": 3, "b": 0}, "ab")])
def test_weights_need_clients_with_images(counts: dict[str, int], answered: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        client_weights(state_of(claims(counts)), dict.fromkeys(answered, 1.0), by_samples=True)


@pytest.mark.parametrize("algorithm", ["dgan", "mdgan", "tdgan-small"])
def test_agreement_needs_three_clients(algorithm: str) -> None:
    agreeing = algorithm_of(resolve(f"algorithm={algorithm} algorithm.merge=agreement"))
    with pytest.raises(FederationError, match="merge=agreement needs at least 3 clients, and there are 2: "):
        agreeing.require_clients(2)
    agreeing.require_clients(3)
    algorithm_of(resolve(f"algorithm={algorithm} algorithm.merge=samples")).require_clients(1)


def test_trust_is_remembered_where_it_is_kept() -> None:
    """A training that goes on puts it back: the server's state holds it, by name."""
    trust: dict[str, float] = {}
    weigh(merge_rule("agreement", trust), {"a": GOOD, "b": GOOD, "c": GOOD, "d": BAD})
    assert trust == pytest.approx({"a": 0.1, "b": 0.1, "c": 0.1, "d": -0.1})
    again = weigh(merge_rule("agreement", trust), dict.fromkeys("abcd", GOOD))
    # d's mean is 0.9 * -0.1 + 0.1
    assert again == pytest.approx(dict.fromkeys("abcd", 0.25))
    assert trust["d"] == pytest.approx(0.01)


def test_two_answers_are_judged_by_what_is_known_of_the_clients() -> None:
    """Of two that contradict each other in one bundle, the one that contradicted the others before counts nothing."""
    rule = merge_rule("agreement", {})
    weigh(rule, {"a": GOOD, "b": GOOD, "c": BAD, "d": GOOD})
    assert weigh(rule, {"a": GOOD, "c": BAD}) == {"a": 1.0, "c": 0.0}
    assert weigh(rule, {"c": BAD}) == {"c": 1.0}


@pytest.mark.parametrize("rule", ["samples", "equal"])
def test_sums_ask_for_no_gradients(rule: MergeName) -> None:
    def gradients() -> Tensor:
        raise AssertionError

    weights = {"a": 0.25, "b": 0.75}
    assert merge_rule(rule, {})(weights, gradients) == weights


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("clients", [3, 4, 7])
@pytest.mark.parametrize("gradient", [GOOD, ZERO])
def test_identical_clients_count_the_same(rule: MergeName, clients: int, gradient: list[float]) -> None:
    got = weigh(merge_rule(rule, {}), dict(zip("abcdefg"[:clients], [gradient] * clients, strict=True)))
    assert got == pytest.approx(dict.fromkeys("abcdefg"[:clients], 1 / clients))


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_a_flipped_client_of_four_counts_nothing(size: float) -> None:
    # the others' cosines with the sum of their peers are all 1, the flipped client's is -1
    assert agreement(GOOD, [size * value for value in BAD], GOOD, GOOD) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


def test_two_flipped_clients_of_six_count_nothing() -> None:
    assert agreement(GOOD, BAD, GOOD, BAD, GOOD, GOOD) == pytest.approx([1 / 4, 0, 1 / 4, 0, 1 / 4, 1 / 4])


def test_lengths_do_not_matter_for_who_agrees() -> None:
    # scaled to one, (1, 0), (0, 1), (0.6, 0.8) and (1, 0): each has a positive product with the sum of the others;
    # their lengths are 1, 3, 50 and 1, and five times the median is 10
    got = agreement([1, 0, 0], [0, 3, 0], [30, 40, 0], [1, 0, 0])
    assert got == pytest.approx([1 / 4, 1 / 4, 10 / 50 / 4, 1 / 4])


def test_a_client_that_says_nothing_counts_nothing() -> None:
    assert agreement(GOOD, ZERO, GOOD, GOOD) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


@pytest.mark.parametrize("bad", [[1e38, -1e38, 1e38], [float("inf"), 0.0, float("nan")]])
def test_a_gradient_beyond_all_bounds_counts_nothing(bad: list[float]) -> None:
    assert agreement(GOOD, bad, GOOD, GOOD) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


def test_when_nobody_agrees_all_count() -> None:
    assert agreement([1, 0, 0], [0, 1, 0], [0, 0, 1]) == pytest.approx([1 / 3] * 3)
    assert agreement([1, 0, 0], [-1, 0, 0], ZERO) == pytest.approx([1 / 3] * 3)


def test_of_three_clients_a_flipped_one_counts_nothing_once_it_is_known() -> None:
    three = {"a": [1.0, 0.1, 0.0], "b": [1.0, -0.1, 0.0], "c": [-1.0, 0.0, 0.0]}
    # an honest client has one peer for it and one against it
    assert weigh(merge_rule("agreement", {}), three) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    rule = merge_rule("agreement", {})
    weigh(rule, three | {"d": [1.0, 0.0, 0.0]})
    assert weigh(rule, three) == pytest.approx({"a": 1 / 2, "b": 1 / 2, "c": 0})


def test_the_mean_over_the_bundles_decides_by_name() -> None:
    rule = merge_rule("agreement", {})
    names = "abcd"

    def weight(d: list[float]) -> float:
        return weigh(rule, dict(zip(names, [GOOD, GOOD, GOOD, d], strict=True)))["d"]

    # d's mean: 0.1, then 0.9 * 0.1 - 0.1 = -0.01, then 0.9 * -0.01 + 0.1 = 0.091
    assert weight(GOOD) == pytest.approx(1 / 4)
    assert weight(BAD) == 0
    # while d is not there nothing changes; a new client begins anew
    assert weigh(rule, dict.fromkeys("abc", GOOD)) == pytest.approx(dict.fromkeys("abc", 1 / 3))
    assert weigh(rule, dict.fromkeys("abce", GOOD))["e"] == pytest.approx(1 / 4)
    assert weight(GOOD) == pytest.approx(1 / 4)
    # -0.018, -0.116, -0.005 and 0.096
    assert [weight(each) > 0 for each in (BAD, BAD, GOOD, GOOD)] == [False, False, False, True]


def test_one_that_counts_nothing_is_no_peer() -> None:
    rule = merge_rule("agreement", {})
    weigh(rule, {"a": GOOD, "b": GOOD, "c": GOOD, "d": BAD})
    # d is out: a has the cosine 0.6 with b and c together, where d would make it negative
    units = {"a": [0.6, 0.8, 0.0], "b": [1.0, 0.0, 0.0], "c": [1.0, 0.0, 0.0], "d": [-1.0, 0.0, 0.0]}
    assert weigh(rule, units) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3, "d": 0})
    assert rule.scores["a"] == pytest.approx(0.9 * 0.1 + 0.1 * 0.6)
