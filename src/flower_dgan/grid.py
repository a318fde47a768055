"""A grid that polls fast and keeps a ledger, around the one that Flower gives to the ServerApp."""

import time
from collections.abc import Iterable
from typing import NamedTuple

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from flower_dgan.flower_internals import shorten_waits_for_parts
from flower_dgan.ledger import FROM_NODE, TO_NODE, Ledger

_SHORTEST_POLL = 0.01
_LONGEST_POLL = 0.25


class _Sent(NamedTuple):
    node: int
    group: str


class FastGrid(Grid):
    """Sends each message as soon as its node may have it and polls adaptively for the replies.

    Flower's own grid sleeps 3 s between two polls in deployment. This one waits a twentieth of the time that has passed
    since the last reply or message, between 10 and 250 ms.

    Messages may be sent ahead, see :meth:`await_group`. A node with a queue is sent its next message at once, so that
    it finds one whenever it is done; any other is sent it when its last reply is in.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    ledger : Ledger
        Where messages are counted.

    Attributes
    ----------
    queues : set of int
        Ids of the nodes that take a second message while they work on the first.
    arrivals : dict of int to tuple of float
        Node id to the seconds between the call and the arrival of its reply, in the last call.
    """

    def __init__(self, grid: Grid, ledger: Ledger) -> None:
        shorten_waits_for_parts()
        self._grid = grid
        self.ledger = ledger
        self.queues: set[int] = set()
        self.arrivals: dict[int, float] = {}
        self._out: dict[str, _Sent] = {}
        self._held: list[Message] = []
        self._awaited: str | None = None

    def await_group(self, group_id: str) -> None:
        """Let the next call of :meth:`send_and_receive` return the replies to a group of messages.

        Without this it returns those to the messages that it is given.

        Parameters
        ----------
        group_id : str
            Group of messages that were given to that call or to an earlier one.
        """
        self._awaited = group_id

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and return the replies that came within ``timeout`` seconds of the last one sent."""
        start = time.monotonic()
        groups = set()
        for message in messages:
            groups.add(message.metadata.group_id)
            self._held.append(message)
            self._send()
        groups, self._awaited = (groups if self._awaited is None else {self._awaited}), None
        waiting = {message_id for message_id, sent in self._out.items() if sent.group in groups}
        self.arrivals = {}
        replies: list[Message] = []
        last_event = begin = time.monotonic()
        while waiting and (timeout is None or time.monotonic() - begin < timeout):
            for reply in self._grid.pull_messages(waiting):
                message_id = reply.metadata.reply_to_message_id
                waiting.discard(message_id)
                self._out.pop(message_id, None)
                self.ledger.add(reply.metadata.src_node_id, FROM_NODE, reply)
                last_event = time.monotonic()
                self.arrivals[reply.metadata.src_node_id] = last_event - start
                replies.append(reply)
                self._send()
            if waiting:
                idle = time.monotonic() - last_event
                time.sleep(min(max(idle / 20, _SHORTEST_POLL), _LONGEST_POLL))
        for message_id in waiting:  # too late: the nodes get their next message
            del self._out[message_id]
        self._send()
        return replies

    def _send(self) -> None:
        """Push every message that its node may have now, in their order."""
        held, self._held = self._held, []
        for message in held:
            node = message.metadata.dst_node_id
            if node not in self.queues and any(sent.node == node for sent in self._out.values()):
                self._held.append(message)
                continue
            self.ledger.add(node, TO_NODE, message)
            for message_id in self._grid.push_messages([message]):
                self._out[str(message_id)] = _Sent(node, message.metadata.group_id)

    def set_run(self, run: object) -> None:
        """Pass on to Flower's grid."""
        self._grid.set_run(run)  # type: ignore[arg-type]

    @property
    def run(self) -> object:  # type: ignore[override]
        """Run information of Flower's grid."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Pass on to Flower's grid."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of the nodes that are connected."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on to Flower's grid."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pass on to Flower's grid."""
        return self._grid.pull_messages(message_ids)
