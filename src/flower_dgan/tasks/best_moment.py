"""Early stopping: a model as it was at the best moment of its training, by pairs that it does not learn from.

Prechelt 1998, "Early Stopping - But When?"; nothing is saved by stopping, as the learning rate falls over the whole
training, so the training runs to its end and the best weights are put back.
"""

from collections.abc import Callable
from math import isnan
from typing import Literal

from torch import Tensor, nn

from flower_dgan.config import DownstreamConfig
from flower_dgan.metrics import Metric, find_metric
from flower_dgan.tasks.task import Fit

MOMENTS = 10
"""At which a training is looked at, at even distances, its end among them; or at each step where it has fewer."""


class BestMoment:
    """Remembers the weights of the best of several moments.

    Parameters
    ----------
    figure : callable
        What a model is worth on validation pairs.
    best : {"highest", "lowest"}
        Which end of the figures is best; of equal ones the later moment is.
    """

    def __init__(self, figure: Callable[[nn.Module], float], best: Literal["highest", "lowest"]) -> None:
        self._figure, self._sign = figure, 1 if best == "highest" else -1
        self._highest = float("-inf")
        self._weights: dict[str, Tensor] | None = None

    def look(self, model: nn.Module) -> None:
        """Measure a model, and remember its weights if it is as good as any before; a figure of NaN is the worst."""
        figure = self._figure(model)
        worth = float("-inf") if isnan(figure) else self._sign * figure
        if worth >= self._highest or self._weights is None:
            self._highest = worth
            self._weights = {name: value.clone() for name, value in model.state_dict().items()}

    def put_back(self, model: nn.Module) -> None:
        """Give a model the weights of the best moment; it stays as it is where none was looked at."""
        if self._weights is not None:
            model.load_state_dict(self._weights)


def run_to_best(training: Fit, steps: int, moment: BestMoment) -> None:
    """Take all steps of a training that has not begun, and leave its model as it was at the best moment."""
    moments = min(MOMENTS, steps)
    for index in range(moments):
        training.go_on(steps * (index + 1) // moments - steps * index // moments)
        moment.look(training.model)
    moment.put_back(training.model)


def chosen_by(config: DownstreamConfig) -> str:
    """Say, for below a table, how the models of its rows were chosen: by the first of its metrics."""
    title = find_metric(config.metrics[0], Metric).title
    return (
        f"Each model is as it was at the best of {min(MOMENTS, config.steps)} moments of its training, by {title} on "
        "images that the clients hold out for validation."
    )
