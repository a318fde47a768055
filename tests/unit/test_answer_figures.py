"""What an answer looks like in numbers: scores from losses, lengths and directions of gradients."""

import math

import pytest
import torch

from flower_dgan.federation.answer_figures import NO_FIGURES, SCORE_OF, answer_figures
from flower_dgan.gan.exchange import Answer, Feedback
from flower_dgan.gan.losses import LOSSES


def answer(gradients: list[list[float]], losses: list[float] | None = None) -> Answer:
    """Make one of images of two pixels."""
    values = torch.tensor(gradients).reshape(-1, 1, 1, 2)
    return Answer(Feedback(torch.tensor(losses or [0.0] * len(values)), values), 1.0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_score_gives_the_loss_that_it_was_found_by(name: str) -> None:
    """Of least squares it is the one below 1."""
    scores = torch.tensor([-5.0, -0.5, 0.0, 0.75], dtype=torch.float64)
    losses = LOSSES[name].generator(scores.reshape(-1, 1, 1, 1))
    torch.testing.assert_close(SCORE_OF[name](losses), scores, rtol=1e-6, atol=1e-6)


def test_mean_and_deviation_of_the_scores() -> None:
    """Of hinge the loss is the score with its sign turned: -1 and -3 have mean -2 and deviation 1."""
    answers = {"a": answer([[0.0, 0.0]] * 2)}
    figures = answer_figures(answers, {"a": torch.tensor([1.0, 3.0])}, "hinge")["a"]
    assert (figures.score, figures.score_spread) == (-2.0, 1.0)
    unknown = answer_figures(answers, {"a": torch.tensor([1.0, 3.0])}, None)["a"]
    assert (unknown.score, unknown.score_spread) == (None, None)
    endless = answer_figures(answers, {"a": torch.tensor([math.inf, 3.0])}, "hinge")["a"]
    assert endless.score is None


def test_length_is_that_of_a_sample_and_direction_that_of_the_mean() -> None:
    """Lengths 5 and 1 have the mean 3. Means: (2, 2), (1, 0), (0, -3); units added up for the first: (1, -1)."""
    answers = {
        "a": answer([[3.0, 4.0], [1.0, 0.0]]),
        "b": answer([[1.0, 0.0]]),
        "c": answer([[0.0, -3.0]]),
        "zero": answer([[0.0, 0.0]]),
    }
    losses = {name: torch.zeros(1) for name in answers}
    figures = answer_figures(answers, losses, "hinge")
    assert {name: each.length for name, each in figures.items()} == {"a": 3.0, "b": 1.0, "c": 3.0, "zero": 0.0}
    assert figures["a"].direction == pytest.approx(0.0, abs=1e-6)
    own = 1 / math.sqrt(2)
    assert figures["b"].direction == pytest.approx(own / math.hypot(own, own - 1), rel=1e-5)
    assert figures["c"].direction == pytest.approx(-own / math.hypot(1 + own, own), rel=1e-5)
    assert figures["zero"].direction is None


def test_nothing_is_said_of_what_is_not_there() -> None:
    """One client alone has no direction, nor one that holds other channels; without feedback there is nothing."""
    wide = Answer(Feedback(torch.zeros(1), torch.ones(1, 3, 1, 2)), 1.0)
    figures = answer_figures({"a": answer([[1.0, 0.0]]), "b": wide}, {"a": torch.zeros(1), "b": torch.zeros(1)}, "bce")
    assert (figures["a"].direction, figures["b"].direction) == (None, None)
    none = Answer(Feedback(torch.zeros(0), torch.zeros(0, 1, 1, 2)), 1.0)
    assert answer_figures({"a": none}, {"a": torch.zeros(0)}, "bce") == {"a": NO_FIGURES}
