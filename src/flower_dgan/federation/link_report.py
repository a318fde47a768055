"""How long a message takes, said before the first round: by what the answers of the join took to arrive."""

import logging
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from flower_dgan.config import Config
from flower_dgan.federation.join import JoinedClient
from flower_dgan.wire.bundle_shape import BundleShape

logger = logging.getLogger("flwr")

_SHORT, _LONG = 1.0, 60.0


def say_how_long(config: Config, clients: Sequence[JoinedClient], rates: Mapping[int, float]) -> None:
    """Log how long the feedback of each client takes, and a smaller bundle if that is more than a minute.

    Nothing is said of a link that is fast, nor of one of which nothing is known: label maps that the server had
    already, and small ones, tell nothing. Nor is it where no feedback travels but a change of weights.

    Parameters
    ----------
    config : Config
        The run's configuration.
    clients : sequence of JoinedClient
        Who takes part.
    rates : mapping of int to float
        Bytes a second from a node, where they could be measured while others sent too.
    """
    shape = BundleShape.of(config, clients[0].labels.classes)
    longest = 0.0
    for client in clients:
        if (rate := rates.get(client.node_id)) is None or not shape.feedback:
            continue
        size = prod(shape.holding(client.channels).gradients) * np.dtype(shape.feedback_format).itemsize
        longest = max(longest, size / rate)
        if size / rate < _SHORT:
            continue
        logger.info(
            "The link of %s carried its label maps at %.2f MB/s: its feedback, %.1f MB a message, takes %.0f s.",
            client.name,
            rate / 1e6,
            size / 1e6,
            size / rate,
        )
    exchanges = config.exchange.exchanges
    if longest > _LONG and (fewer := int(exchanges * _LONG / longest) or 1) < exchanges:
        logger.warning("exchange.exchanges=%d in place of %d would take a minute.", fewer, exchanges)
