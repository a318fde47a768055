"""The peer to beat: the model of the task itself, trained on the clients' real images by Flower's own FedAvg.

McMahan 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data".
"""

from collections.abc import Callable

from torch import nn

from flower_dgan.baselines.averaging import average, rounds_within
from flower_dgan.baselines.rows import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.flower.ledger import Ledger
from flower_dgan.tasks.members import begin
from flower_dgan.tasks.results import TstrResult
from flower_dgan.tasks.tstr import best_moment, score_on_real

ROW = "FedAvg"
EQUAL_ROW = "FedAvg-equal-bytes"
"""The same, averaged as often as a client of the run could have for the bytes that it sent and received."""

ROUNDS = 10
"""Synchronisations of a training, or one a step where it has fewer steps."""


def federated_row(
    federation: LocalFederation,
    test: Pairs,
    config: Config,
    on_result: Callable[[TstrResult], None],
    on_model: Callable[[TstrResult, nn.Module], None] = lambda *_: None,
    *,
    row: str = ROW,
    rounds: int | None = None,
    validation: Pairs | None = None,
) -> Ledger:
    """Train and test the row ``FedAvg`` of the TSTR table, ``downstream.seeds`` times.

    Parameters
    ----------
    federation : LocalFederation
        The clients.
    test : Pairs
        Real pairs that no client has.
    config : Config
        The run's configuration; at least one seed.
    on_result : callable
        Called with each result as soon as it is there.
    on_model : callable
        Called with each result and its trained model.
    row : str
        What the row is called.
    rounds : int or None
        Of each training; None for those of :func:`rounds_of`.
    validation : Pairs or None
        As for :func:`~flower_dgan.tasks.tstr.train_on_synthetic_test_on_real`: they choose among the averages of the
        rounds.

    Returns
    -------
    Ledger
        What crossed in one training, which is the same in each; node k + 1 is client k of the federation.
    """
    for seed in range(config.seed, config.seed + config.downstream.seeds):
        model, ledger = train_federated(federation, config, seed, rounds, validation)
        size, chosen = config.data.image_size, validation is not None
        result = score_on_real(model, test, config.downstream, row=row, seed=seed, image_size=size, chosen=chosen)
        on_result(result)
        on_model(result, model)
    return ledger


def train_federated(
    federation: LocalFederation,
    config: Config,
    seed: int,
    rounds: int | None = None,
    validation: Pairs | None = None,
) -> tuple[nn.Module, Ledger]:
    """Train the model of the TSTR table without pooling the data.

    Every client takes ``downstream.steps`` steps in all, as the model of every other row does, at the same learning
    rates. Client 0 draws as a training with this seed does, client k as one with ``seed`` + k x ``downstream.seeds``,
    so that no two trainings of the row draw alike. With validation pairs the model is the best of the averages by them,
    else the last.

    Returns
    -------
    tuple of nn.Module and Ledger
        The averaged model in evaluation mode, and what crossed; node k + 1 is client k of the federation.
    """
    trainings = [
        begin(pairs, config, seed + index * config.downstream.seeds) for index, pairs in enumerate(federation.real)
    ]
    model, downstream = trainings[0].model, config.downstream
    rounds = rounds or rounds_of(downstream.steps)
    if validation is None:
        return model, average(trainings, downstream.steps, rounds)
    moment = best_moment(validation, downstream, config.data.image_size)
    ledger = average(trainings, downstream.steps, rounds, moment.look)
    moment.put_back(model)
    return model, ledger


def rounds_at(config: Config, federation: LocalFederation, crossed: float) -> int:
    """Return the rounds of a training that costs a client about so many bytes, sent and received."""
    return rounds_within(begin(federation.real[0], config, config.seed).model, crossed, config.downstream.steps)


def rounds_of(steps: int) -> int:
    """Return how many rounds a training of so many steps a client has."""
    return min(ROUNDS, steps)
