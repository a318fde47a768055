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


def test_gradients_that_follow_the_label_maps_as_the_others_do() -> None:
    """Two samples of two pixels and two classes, whose label maps are each other's opposite.

    Less their means, and of length one, the maps are (1, -1, -1, 1) / 2 and its opposite, class by class, and gradients
    (1, -1) and (-1, 1) are (1, -1) / sqrt(2) and its opposite: the products are (1 / sqrt(2), -1 / sqrt(2)) by class, a
    vector of length 1. A client whose gradients are the other way round has the opposite; one whose gradients are the
    same for both samples, however long, has nothing to compare.
    """
    maps = torch.tensor([[[[1, 0]], [[0, 1]]], [[[0, 1]], [[1, 0]]]], dtype=torch.uint8)
    answers = {
        "a": answer([[1.0, -1.0], [-1.0, 1.0]]),
        "b": answer([[7.0, 1.0], [1.0, 7.0]]),
        "c": answer([[-3.0, 3.0], [3.0, -3.0]]),
        "same": answer([[5.0, -5.0], [5.0, -5.0]]),
    }
    losses = {name: torch.zeros(2) for name in answers}
    figures = answer_figures(answers, losses, "hinge", dict.fromkeys(answers, maps))
    assert figures["same"].follows is None
    # a and b have the vector v, c has -v: of a the others sum to 0
    assert (figures["a"].follows, figures["b"].follows) == (None, None)
    assert figures["c"].follows == pytest.approx(-1.0, rel=1e-5)
    two = {name: answers[name] for name in "ab"}
    figures = answer_figures(two, losses, "hinge", dict.fromkeys(two, maps))
    assert [each.follows for each in figures.values()] == [pytest.approx(1.0, rel=1e-5)] * 2
    assert answer_figures(two, losses, "hinge")["a"].follows is None
