"""A start that fails leaves no real images at the nodes that had joined."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flwr.app import Message
from flwr.serverapp import Grid

from flower_dgan.config import Config
from flower_dgan.wire.join_messages import LEAVE
from flower_dgan.wire.protocol import Training

logger = logging.getLogger("flwr")

_PATIENCE = 30.0  # seconds for all: the run has failed already


@contextmanager
def forgotten_if_it_fails(grid: Grid, config: Config, training: Training, *, begun: bool) -> Iterator[None]:
    """Let all connected nodes forget a training whose start, in the body, raises an exception.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    config : Config
        The run's configuration.
    training : Training
        Which training they are to forget.
    begun : bool
        Whether rounds are done that a later start goes on from: then the nodes keep what they have.
    """
    try:
        yield
    except Exception:
        if not begun:
            _let_go(grid, config, training)
        raise


def _let_go(grid: Grid, config: Config, training: Training) -> None:
    """Ask the nodes to forget, those too that have not joined or have not said so; what goes wrong is logged."""
    try:
        nodes = set(grid.get_node_ids())
        content = training.to_records("leave")
        messages = [Message(content, dst_node_id=node, message_type=LEAVE) for node in nodes]
        replies = list(grid.send_and_receive(messages, timeout=min(_PATIENCE, config.exchange.join_timeout)))
        silent = nodes - {reply.metadata.src_node_id for reply in replies if not reply.has_error()}
    except Exception:  # of two errors the first one tells why the run failed
        logger.exception("The nodes could not be told to forget the training that did not start.")
        return
    if silent:
        shown = ", ".join(map(str, sorted(silent)))
        logger.warning("No answer to leaving from node %s: what it kept of the training stays there.", shown)
