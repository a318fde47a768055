"""Which clients are asked: one that failed to answer three times in a row is left out.

One that was silent is asked anew what it has, now and then, and takes part again when it answers. One that answered
with what could not be used is asked anew when its node was away and came back.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set

from flower_dgan.config import Config
from flower_dgan.errors import FederationError
from flower_dgan.federation.join import JoinedClient
from flower_dgan.run.member_records import LEFT_OUT

logger = logging.getLogger("flwr")

MOST_STRIKES = 3
"""Messages in a row without a usable reply after which a client is left out."""


class Attendance:
    """Counts what clients fail to answer.

    Parameters
    ----------
    config : Config
        ``exchange.min_nodes``, and ``exchange.join_timeout``: so long a node that is not connected is waited for.
    on_change : callable
        Called with a client's name, a sentence and the kind of change when it is left out.

    Attributes
    ----------
    strikes : Counter of int
        Node id to how many messages in a row it did not answer in a usable way.
    """

    def __init__(self, config: Config, on_change: Callable[[str, str, str], None]) -> None:
        self._exchange = config.exchange
        self._on_change = on_change
        self._absent: dict[int, float] = {}
        self._reasons: dict[int, str] = {}
        self._may_return: set[int] = set()
        self.strikes: Counter[int] = Counter()

    def answered(self, node_id: int) -> None:
        """Note that a client answered, or came back."""
        self.strikes[node_id] = 0

    def silence(self, node_id: int) -> str:
        """Return what is said of a node that did not answer."""
        return "its node is not connected" if node_id in self._absent else "no reply in time"

    def missed(self, node_id: int, name: str, reason: str, *, silent: bool = False) -> None:
        """Note that a message got no usable reply, and why: ``silent`` where there was none at all."""
        self.strikes[node_id] += 1
        if silent:
            self._may_return.add(node_id)
        else:
            self._may_return.discard(node_id)
        self._reasons[node_id] = reason
        if self.strikes[node_id] == MOST_STRIKES:
            logger.warning("%s is left out: %s", name, reason)
            said = f"was left out after {MOST_STRIKES} messages without a usable reply: {reason}"
            self._on_change(name, said, LEFT_OUT)

    def left_out(self) -> set[int]:
        """Return the nodes that are not asked for feedback."""
        return {node_id for node_id, count in self.strikes.items() if count >= MOST_STRIKES}

    def returning(self, connected: Set[int]) -> set[int]:
        """Return those of the nodes that are left out which may take part again, if they answer."""
        self._may_return |= self.left_out() - connected
        return self._may_return & self.left_out()

    def gone(self, nodes: Iterable[int], connected: Set[int]) -> set[int]:
        """Return those of some nodes that have not been connected for ``exchange.join_timeout`` seconds."""
        now = time.monotonic()
        self._absent = {node: self._absent.get(node, now) for node in nodes if node not in connected}
        return {node for node, since in self._absent.items() if now - since >= self._exchange.join_timeout}

    def require(self, asked: Iterable[int], clients: Mapping[int, JoinedClient]) -> None:
        """Raise FederationError if fewer clients are asked than the run wants."""
        if (count := len(set(asked))) < self._exchange.min_nodes:
            missing = [f"{clients[n].name} ({self._reasons.get(n, 'not connected')})" for n in self._missing(clients)]
            raise FederationError(
                f"{count} of {len(clients)} clients can be asked, and exchange.min_nodes={self._exchange.min_nodes} "
                f"are wanted. Without {'; '.join(missing)}. Start their SuperNodes again, look at their logs, and go "
                "on from the last checkpoint: the same overrides with resume=<run directory>."
            )

    def _missing(self, clients: Mapping[int, JoinedClient]) -> list[int]:
        left_out = self.left_out()
        return [node for node in clients if node in left_out or node in self._absent]
