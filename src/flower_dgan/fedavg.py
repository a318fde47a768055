"""The peer to beat: the segmentation model itself, trained on the clients' real images by Flower's own FedAvg.

McMahan 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data".
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from torch import nn

from flower_dgan.baselines import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.evaluation.segmentation import SegmenterTraining, segmentation_score
from flower_dgan.evaluation.tstr_summary import TstrResult
from flower_dgan.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.ledger import FROM_NODE, TO_NODE, Ledger

logger = logging.getLogger("flwr")

ROW = "FedAvg"

ROUNDS = 10
"""Synchronisations of a training, or one a step where it has fewer steps."""


class LocalTraining(Protocol):
    """What one client does with its own data; see :class:`SegmenterTraining`."""

    model: nn.Module

    def __len__(self) -> int:
        """Return the number of samples, which is the client's weight."""
        ...

    def run(self, steps: int) -> None:
        """Take the next optimizer steps."""
        ...


def federated_row(
    federation: LocalFederation, test: Pairs, config: Config, on_result: Callable[[TstrResult], None]
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

    Returns
    -------
    Ledger
        What crossed in one training, which is the same in each; node k + 1 is client k of the federation.
    """
    for seed in range(config.seed, config.seed + config.downstream.seeds):
        model, ledger = train_federated(federation, config, seed)
        score = segmentation_score(model, test, image_size=config.data.image_size)
        on_result(TstrResult(ROW, seed, score.dice, score.iou))
    return ledger


def train_federated(federation: LocalFederation, config: Config, seed: int) -> tuple[nn.Module, Ledger]:
    """Train the segmentation model of the TSTR table without pooling the data.

    Every client takes ``downstream.steps`` steps in all, as the model of every other row does, at the same learning
    rates. Client 0 draws as a training with this seed does, client k as one with ``seed`` + k x ``downstream.seeds``,
    so that no two trainings of the row draw alike.

    Returns
    -------
    tuple of nn.Module and Ledger
        The averaged model in evaluation mode, and what crossed; node k + 1 is client k of the federation.
    """
    downstream = config.downstream
    trainings = [
        SegmenterTraining(
            pairs,
            downstream,
            image_size=config.data.image_size,
            augmentation=config.data.augmentation,
            seed=seed + index * downstream.seeds,
        )
        for index, pairs in enumerate(federation.real)
    ]
    ledger = average(trainings, downstream.steps, rounds_of(downstream.steps))
    return trainings[0].model, ledger


def rounds_of(steps: int) -> int:
    """Return how many rounds a training of so many steps a client has."""
    return min(ROUNDS, steps)


def average(trainings: Sequence[LocalTraining], steps: int, rounds: int) -> Ledger:
    """Let Flower's FedAvg average the models of clients after every round of local steps.

    It begins with the first client's weights. What is averaged, by number of samples, are all floating-point entries
    of the state, running means and variances of batch norm among them. Its counters of batches stay where they are, as
    nothing reads them. With one client and one round it is that client's training.

    Parameters
    ----------
    trainings : sequence of LocalTraining
        At least one; at the end all of their models are the average.
    steps, rounds : int
        Steps of every client in all, and rounds that share them evenly; at least 1.

    Returns
    -------
    Ledger
        What crossed; node k + 1 is training k.
    """
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        training = trainings[context.node_id - 1]
        done = int(message.content.config_records["config"]["server-round"])  # type: ignore[arg-type]
        _load(training.model, message.content.array_records["arrays"])
        training.run(steps * done // rounds - steps * (done - 1) // rounds)
        metrics = MetricRecord({"num-examples": len(training)})
        return Message(RecordDict({"arrays": _weights(training.model), "metrics": metrics}), reply_to=message)

    grid = _CountingGrid(app, len(trainings))
    with _quiet():
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=len(trainings), min_available_nodes=len(trainings))
        result = strategy.start(grid, _weights(trainings[0].model), rounds)
    for training in trainings:
        _load(training.model, result.arrays)
    return grid.ledger


class _CountingGrid(InProcessGrid):
    """Counts what crosses, and asks the clients in their order: FedAvg shuffles them, and sums in the order of replies.

    A client that fails ends the training, which FedAvg would go on with without it.
    """

    def __init__(self, app: ClientApp, clients: int) -> None:
        super().__init__(app, simulated_contexts(clients, ""))
        self.ledger = Ledger()

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        ordered = sorted(messages, key=lambda message: message.metadata.dst_node_id)
        replies = list(super().send_and_receive(ordered, timeout=timeout))
        for message, reply in zip(ordered, replies, strict=True):
            if reply.has_error():
                raise RuntimeError(f"A client of the row FedAvg failed: {reply.error.reason}")
            self.ledger.add(message.metadata.dst_node_id, TO_NODE, message)
            self.ledger.add(message.metadata.dst_node_id, FROM_NODE, reply)
        return replies


def _weights(model: nn.Module) -> ArrayRecord:
    return ArrayRecord({name: value for name, value in model.state_dict().items() if value.is_floating_point()})


def _load(model: nn.Module, weights: ArrayRecord) -> None:
    model.load_state_dict(model.state_dict() | weights.to_torch_state_dict())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the dozen lines a round that FedAvg logs out of the run's log."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger.addFilter(is_error)
    try:
        yield
    finally:
        logger.removeFilter(is_error)
