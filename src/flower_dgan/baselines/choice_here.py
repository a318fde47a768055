"""The choice of a generator where all data are in this process, and what a generator is scored by anywhere."""

import copy
from collections.abc import Sequence

from torch import nn

from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.errors import NotFiniteError
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.metrics import Metric, find_metric
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks import find_task
from flower_dgan.tasks.choice import Check, choose
from flower_dgan.tasks.tstr import score
from flower_dgan.wiring import bundle_settings

_ALL = "all"


class ChoiceHere:
    """Keeps the generators of a training at the rounds of its checks, and chooses as ``selection`` says.

    Parameters
    ----------
    config : Config
        The run's configuration.
    labels : sequence of ClientLabels
        What the synthetic dataset will be drawn on.
    validation : Pairs or None
        What chooses; None for nothing, so that the last generator is taken.
    rounds : int
        Of the training.
    """

    def __init__(self, config: Config, labels: Sequence[ClientLabels], validation: Pairs | None, rounds: int) -> None:
        self._config, self._labels, self._validation = config, labels, validation
        chooses = config.selection.take == "best" and validation is not None
        self._rounds = config.selection.rounds(rounds) if chooses else ()
        self._kept: dict[int, nn.Module] = {}

    def keep(self, round_number: int, generator: nn.Module) -> None:
        """Keep a copy of the generator at the end of a round, from 1, if that has a check."""
        if round_number in self._rounds:
            self._kept[round_number] = copy.deepcopy(generator)

    def take(self, last: nn.Module) -> nn.Module:
        """Return the generator to draw with: the best that was kept, or the last where none was."""
        if self._validation is None or not self._kept:
            return last
        metrics = self._config.downstream.metrics[:1]
        checks = []
        for round_number, generator in self._kept.items():
            model = train_on_drawn(generator, self._labels, self._config)
            task, size = find_task(self._config.downstream.task), self._config.data.image_size
            try:
                values = score(task, model, self._validation, image_size=size, metrics=metrics)
            except NotFiniteError:  # of what is not finite there is no score
                continue
            checks.append(Check(round_number, {_ALL: values[metrics[0]]}))
        chosen = choose(checks, {_ALL: 1.0}, find_metric(metrics[0], Metric).best)
        return last if chosen is None else self._kept[chosen.round]


def train_on_drawn(generator: nn.Module, labels: Sequence[ClientLabels], config: Config) -> nn.Module:
    """Train the model of ``downstream`` to its end on what a generator draws, with the seed of the row's first."""
    drawn, _ = synthesize(generator, labels, bundle_settings(config), config.output.synthetic_images)
    size, augmentation = config.data.image_size, config.data.augmentation
    training = find_task(config.downstream.task).fit(
        drawn, config.downstream, image_size=size, augmentation=augmentation, seed=config.seed
    )
    training.run(config.downstream.steps)
    return training.model
