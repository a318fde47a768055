"""Lines that say what a run waits for."""

import logging
import time
from collections.abc import Mapping, Sequence

from flower_dgan.flower.sent import Sent

logger = logging.getLogger("flwr")

_SECONDS = 10.0


class WaitingLines:
    """Says every ten seconds whose replies are awaited for longer than that, how long, and how long they took before.

    Parameters
    ----------
    names : mapping of int to str
        What nodes are called.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._said = time.monotonic()

    def tell(self, waiting: Sequence[Sent]) -> None:
        """Write the line if it is time."""
        now = time.monotonic()
        slow = [sent for sent in waiting if now - sent.first >= _SECONDS]
        if slow and now - self._said >= _SECONDS:
            self._said = now
            logger.info("Waiting for %s", ", ".join(map(self._line, slow)))

    def _line(self, sent: Sent) -> str:
        name = self._names.get(sent.node, f"node {sent.node}")
        expected = "" if sent.expected is None else f" of about {sent.expected:.0f}"
        return f"{name}: {time.monotonic() - sent.first:.0f}{expected} s"
