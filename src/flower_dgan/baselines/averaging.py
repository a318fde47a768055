"""Flower's own FedAvg over models that are trained in this process, with what would have crossed the wire."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from torch import nn

from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger

logger = logging.getLogger("flwr")


class LocalTraining(Protocol):
    """What one client does with its own data; see ``flower_dgan.tasks.task.Fit`` and ``LocalGan``."""

    model: nn.Module

    def __len__(self) -> int:
        """Return the number of samples, which is the client's weight."""
        ...

    def run(self, steps: int) -> None:
        """Take the next optimizer steps."""
        ...


def average(
    trainings: Sequence[LocalTraining],
    steps: int,
    rounds: int,
    on_average: Callable[[nn.Module], None] = lambda _: None,
) -> Ledger:
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
    on_average : callable
        Called with the averaged model after each round; it may be left in evaluation mode, and is else not to be
        changed.

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

    def look(done: int, arrays: ArrayRecord) -> None:
        if done:
            _load(trainings[0].model, arrays)  # which is what the next round begins with
            on_average(trainings[0].model)

    grid = _CountingGrid(app, len(trainings))
    with _quiet():
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=len(trainings), min_available_nodes=len(trainings))
        result = strategy.start(grid, _weights(trainings[0].model), rounds, evaluate_fn=look)
    for training in trainings:
        _load(training.model, result.arrays)
    return grid.ledger


def rounds_within(model: nn.Module, crossed: float, steps: int) -> int:
    """Return in how many rounds of averaging a model's weights cost a client about as many bytes as ``crossed``.

    Parameters
    ----------
    model : nn.Module
        What is averaged.
    crossed : float
        Bytes that a client may send and receive, together.
    steps : int
        Local steps in all: as many rounds at most.

    Returns
    -------
    int
        The nearest number, at least 1, from the weights alone; what else is in a message is a few hundred bytes.
    """
    once: int = 2 * sum(value.nbytes for value in model.state_dict().values() if value.is_floating_point())
    return min(steps, max(1, round(crossed / once)))


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
                raise RuntimeError(f"A client failed: {reply.error.reason}")
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
