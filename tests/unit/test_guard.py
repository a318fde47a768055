"""Bounds on what a client says: by hand, and for anything that a client may say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flower_dgan.config import ReplayName
from flower_dgan.errors import FederationError
from flower_dgan.gan.exchange import Feedback, GeneratorInput
from flower_dgan.gan.generator import GeneratorHalf, is_finite
from flower_dgan.gan.guard import (
    GRADIENTS,
    REMEMBERED,
    SCORES,
    Guard,
    Reach,
    bound_gradients,
    bound_scores,
    bound_weights,
    root_mean_square,
    root_mean_squares,
)
from flower_dgan.gan.replay import Replay, scaled
from flower_dgan.networks.small import SmallGenerator

HUGE = float(np.finfo(np.float32).max) / 2


def feedback(*samples: float, score: float = 0.0) -> Feedback:
    """Return feedback of two pixels a sample, each with this value and its opposite."""
    values = torch.tensor(samples)[:, None, None, None]
    return Feedback(torch.full((len(samples),), score), torch.cat([values, -values], 3))


def magnitudes(bounded: dict[str, Feedback]) -> dict[str, list[float]]:
    return {name: root_mean_squares(each.gradients).tolist() for name, each in bounded.items()}


def test_limits_by_hand() -> None:
    guard = Guard(Reach(others=10.0, past=100.0, largest=1e6))
    # The others of a are 2 and 4, upper median 4; of b 1 and 4; of c 1 and 2.
    assert guard.limits({"a": 1.0, "b": 2.0, "c": 4.0}) == {"a": 40.0, "b": 40.0, "c": 20.0}
    # Of three others 1, 2 and 4 it is 2.
    assert guard.limits({"a": 1.0, "b": 2.0, "c": 4.0, "d": 9.0})["d"] == 20.0
    for magnitude in (3.0, 0.0, 5.0, 0.01):
        guard.remember({"a": magnitude})
    # Its own past without the zero is 3, 5 and 0.01; one other is no measure, as either may be right.
    assert guard.limits({"a": 7.0, "b": 1.0}) == {"a": 300.0, "b": 1e6}
    # For those who are away their past stands, a's 3 and c's 2, with the factor of the past.
    guard.remember({"c": 2.0})
    assert guard.limits({"b": 1.0}) == {"b": 300.0}


def test_zeros_say_nothing() -> None:
    guard = Guard(Reach(others=10.0, past=100.0))
    guard.remember({"a": 0.0})
    assert guard.limits({"a": 3.0, "b": 0.0, "c": 0.0}) == dict.fromkeys("abc", 1e6)


def test_one_client_cannot_press_the_others_down() -> None:
    """By saying next to nothing: the upper one of an honest client and it is the honest one's."""
    guard = Guard(Reach(others=10.0, past=100.0))
    for _ in range(REMEMBERED):
        limits = guard.limits({"a": 1.0, "b": 2.0, "bad": 1e-30})
        guard.remember({"a": 1.0, "b": 2.0, "bad": 1e-30})
    assert (limits["a"], limits["b"]) == (20.0, 10.0)


def test_a_jump_is_scaled_down_and_a_drift_is_not() -> None:
    guard = Guard(Reach(others=10.0, past=10.0))
    for number in range(60):
        _, acted = bound_gradients(guard, {"a": feedback(1.2**number)})
        assert acted == {}
    reached = []
    for _ in range(2):
        bounded, acted = bound_gradients(guard, {"a": feedback(1e30)})
        assert acted == {"a": 1}
        reached += magnitudes(bounded)["a"]
    # The median of its last 20, 1.2**40 to 1.2**59, of which the jump is one then.
    assert reached == pytest.approx([10 * 1.2**50, 10 * 1.2**51], rel=1e-6)


def test_only_the_samples_beyond_the_bound_change_and_keep_their_direction() -> None:
    guard = Guard(Reach(others=10.0, past=100.0))
    given = {"a": feedback(1.0, 1.0), "b": feedback(2.0, 2.0), "bad": feedback(1.5, HUGE)}
    bounded, acted = bound_gradients(guard, given)
    assert acted == {"bad": 1}
    assert bounded["a"] is given["a"]
    assert bounded["b"] is given["b"]
    # 10 times the upper median of 1 and 2
    torch.testing.assert_close(bounded["bad"].gradients, feedback(1.5, 20.0).gradients)
    assert guard.past["bad"] == pytest.approx([math.sqrt((1.5**2 + 20**2) / 2)])


def test_one_huge_pixel_counts_by_its_whole_sample() -> None:
    gradients = torch.zeros(2, 1, 8, 8)
    gradients[0, 0, 0, 0] = HUGE
    gradients[1] = 1.0
    honest = Feedback(torch.zeros(2), torch.ones(2, 1, 8, 8))
    guard = Guard(Reach(others=10.0, past=100.0))
    bounded, _ = bound_gradients(guard, {"a": honest, "b": honest, "bad": Feedback(torch.zeros(2), gradients)})
    # 10 = sqrt(x^2 / 64)
    assert float(bounded["bad"].gradients[0, 0, 0, 0]) == pytest.approx(80.0)
    torch.testing.assert_close(bounded["bad"].gradients[1], gradients[1])


def test_scores_are_cut_off_but_not_below_what_is_sure_anyway() -> None:
    guard = Guard(Reach(others=10.0, past=10.0, least=50.0))
    given = {"a": feedback(0.0, score=1.0), "b": feedback(0.0, score=-2.0), "bad": feedback(0.0, 0.0, score=-HUGE)}
    bounded, acted = bound_scores(guard, given)
    assert acted == {"bad": 2}
    assert bounded["bad"].losses.tolist() == [-50.0, -50.0]
    bounded, _ = bound_scores(guard, {name: feedback(0.0, score=s) for name, s in (("a", 9), ("b", 9), ("bad", HUGE))})
    assert bounded["bad"].losses.tolist() == [90.0]


def test_weights_are_scaled_by_one_factor() -> None:
    guard = Guard(Reach(others=10.0, past=100.0, largest=100.0))
    honest = [np.array([0.5, -1.0], np.float32), np.array([[0.25]], np.float32)]
    bad = [np.array([HUGE, 0.0], np.float32), np.array([[-HUGE / 4]], np.float32)]
    bounded, acted = bound_weights(guard, {"a": honest, "b": honest, "bad": bad})
    assert acted == {"bad": 1}
    assert bounded["a"][0] is honest[0]
    assert [each.tolist() for each in bounded["bad"]] == [[10.0, 0.0], [[-2.5]]]
    alone, _ = bound_weights(Guard(Reach(others=10.0, past=100.0, largest=100.0)), {"bad": bad})
    assert alone["bad"][0].tolist() == [100.0, 0.0]


def test_the_past_comes_back() -> None:
    guard, again = Guard(GRADIENTS), Guard(GRADIENTS)
    for number in range(30):
        guard.remember({"a": 0.1 * number, "b": 1 / 3})
    again.restore(guard.snapshot())
    assert again.past == guard.past
    assert [len(past) for past in again.past.values()] == [REMEMBERED] * 2


def honest_half(replay: ReplayName, learning_rate: float = 1e-3) -> GeneratorHalf:
    torch.manual_seed(0)
    network = SmallGenerator(2, 1, 8, 4, 2, 1)
    optimizer = torch.optim.Adam(network.parameters(), learning_rate, (0.5, 0.99))
    return GeneratorHalf(network, optimizer, replay=Replay(replay, target_step=0.15), average_decay=0.5)


def some_input() -> GeneratorInput:
    return GeneratorInput(torch.ones(4, 2, 8, 8), torch.randn(4, 2), torch.randn(4, 1, 8, 8), torch.zeros(4).long())


finite = arrays.arrays(
    np.float32,
    (4, 1, 8, 8),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.sampled_from([HUGE, -2 * HUGE, 1e-45, 0.0]),
    fill=st.sampled_from([np.float32(0), np.float32(1e-30), np.float32(1), np.float32(HUGE)]),
)


@pytest.mark.parametrize("replay", ["gradient", "target"])
@pytest.mark.parametrize("clients", [1, 2, 3, 5])
@settings(max_examples=8, deadline=None)
@given(st.lists(finite, min_size=3, max_size=3))
def test_whatever_a_client_says_the_generator_and_its_moments_stay_finite(
    replay: ReplayName, clients: int, replies: list[np.ndarray]
) -> None:
    """The last client says anything in each of three rounds; the others are honest."""
    half, guard = honest_half(replay), Guard(GRADIENTS)
    names = [f"honest {number}" for number in range(clients - 1)] + ["bad"]
    for reply in replies:
        said = {name: Feedback(torch.zeros(4), torch.randn(4, 1, 8, 8)) for name in names}
        said["bad"] = Feedback(torch.zeros(4), torch.from_numpy(reply))
        bounded, acted = bound_gradients(guard, said)
        assert set(acted) <= {"bad"}
        if clients >= 3:
            level = {name: root_mean_square(root_mean_squares(each.gradients)) for name, each in said.items()}
            usual = sorted(level[name] for name in names[:-1])[(clients - 1) // 2]
            assert max(magnitudes(bounded)["bad"]) <= GRADIENTS.others * usual * (1 + 1e-6)
        proposals = [half.propose(some_input()) for _ in names]
        half.apply(proposals, list(bounded.values()), dict.fromkeys(names, 1 / clients), steps=2)
    assert is_finite(half.network)
    assert is_finite(half.average)
    assert all(bool(value.isfinite().all()) for value in half.snapshot().values())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_whatever_a_client_scores_is_finite_and_bounded(scores: list[float]) -> None:
    def said(values: list[float]) -> Feedback:
        return Feedback(torch.tensor(values), torch.zeros(len(values), 1, 1, 1))

    honest = said([1.0] * len(scores))
    bounded, _ = bound_scores(Guard(SCORES), {"a": honest, "b": honest, "bad": said(scores)})
    assert float(bounded["bad"].losses.abs().max()) <= SCORES.others
    assert bounded["a"] is honest


def test_tiny_feedback_is_no_larger_than_any_other_as_a_target() -> None:
    """The square of 1e-30 is 0 in float32; a target is one root mean square away all the same."""
    for value in (1.0, 1e-30, 1e-44):
        gradients = torch.full((2, 1, 2, 2), value)
        factor = Replay("target", target_step=0.5).factor(Feedback(torch.zeros(2), gradients), 1.0)
        torch.testing.assert_close(scaled(gradients, factor), torch.full((2, 1, 2, 2), 0.5), rtol=1e-3, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_gradient_that_would_ruin_the_optimizer_stops_before_the_step(value: float) -> None:
    half = honest_half("gradient")
    before = {name: tensor.clone() for name, tensor in half.network.state_dict().items()}
    answer = Feedback(torch.zeros(4), torch.full((4, 1, 8, 8), value))
    with pytest.raises(FederationError, match=r"gradient is not finite: .* Lower algorithm.generator_learning_rate"):
        half.apply([half.propose(some_input())], [answer], {"a": 1.0}, steps=1)
    torch.testing.assert_close(half.network.state_dict(), before, rtol=0, atol=0)
    assert half.steps_done == 0


def test_images_and_parameters_that_are_not_finite_are_named() -> None:
    half = honest_half("gradient", learning_rate=3e38)
    next(half.network.parameters()).data.fill_(-3e38)
    rising = Feedback(torch.zeros(4), torch.ones(4, 1, 8, 8))
    with pytest.raises(FederationError, match=r"The generator's (images are|gradient is|parameters are) not finite"):
        half.apply([half.propose(some_input())], [rising], {"a": 1.0}, steps=1)
    half = honest_half("gradient")
    next(half.network.parameters()).data.fill_(float("nan"))
    with pytest.raises(FederationError, match="images are not finite"):
        half.propose(some_input())
