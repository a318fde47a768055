"""Early stopping, with figures made by hand."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from flower_dgan.data import Pairs
from flower_dgan.resolve import resolve
from flower_dgan.tasks import find_task
from flower_dgan.tasks.best_moment import BestMoment, run_to_best
from tests.unit.test_tasks import images_of


class Counting:
    """A training whose model is the number of its steps."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.calls: list[int] = []

    def go_on(self, steps: int) -> None:
        self.calls.append(steps)
        with torch.no_grad():
            self.model.weight += steps


@pytest.mark.parametrize(("best", "weight"), [("highest", 3), ("lowest", 4)])
def test_the_best_moment_is_put_back_and_of_equal_ones_the_later(best: str, weight: int) -> None:
    figures: Iterator[float] = iter([0.3, 0.5, 0.5, 0.1])
    training, moment = Counting(), BestMoment(lambda _: next(figures), best)  # type: ignore[arg-type]
    run_to_best(training, 4, moment)  # type: ignore[arg-type]
    assert training.calls == [1, 1, 1, 1]
    assert training.model.weight.item() == weight


@pytest.mark.parametrize(("best", "weight"), [("highest", 3), ("lowest", 2)])
def test_a_figure_of_nothing_is_never_the_best(best: str, weight: int) -> None:
    figures: Iterator[float] = iter([math.nan, 0.3, 0.5, math.nan])
    training = Counting()
    run_to_best(training, 4, BestMoment(lambda _: next(figures), best))  # type: ignore[arg-type]
    assert training.model.weight.item() == weight


def test_ten_moments_share_the_steps_and_the_end_is_one_of_them() -> None:
    training, seen = Counting(), []

    def figure(model: nn.Module) -> float:
        seen.append(model.weight.item())  # type: ignore[union-attr, operator]
        return 1.0

    run_to_best(training, 25, BestMoment(figure, "highest"))  # type: ignore[arg-type]
    assert seen == [2, 5, 7, 10, 12, 15, 17, 20, 22, 25]
    assert training.model.weight.item() == 25


def test_a_model_that_was_not_looked_at_stays() -> None:
    training = Counting()
    BestMoment(lambda _: 1.0, "highest").put_back(training.model)
    assert training.model.weight.item() == 0


def test_a_training_in_parts_is_that_in_one_go() -> None:
    """Adam's moments, the rate's fall, dropout and views go on; without the moments it would be another training."""
    config = resolve("data.condition=class downstream=classification downstream.steps=6").downstream

    def weights(*parts: int, method: str) -> torch.Tensor:
        training = find_task("classification").fit(some_pairs(), config, image_size=4, augmentation="flips", seed=3)
        for steps in parts:
            getattr(training, method)(steps)
        return torch.cat([value.reshape(-1) for value in training.model.state_dict().values()])

    whole = weights(6, method="run")
    assert torch.equal(weights(1, 3, 2, method="go_on"), whole)
    assert not torch.equal(weights(1, 3, 2, method="run"), whole)


def some_pairs() -> Pairs:
    return images_of(0, 1, 2, 3)
