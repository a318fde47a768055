"""A grid that polls fast and keeps a ledger, around the one that Flower gives to the ServerApp."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from flower_dgan.runtime.flower_internals import LOST, shorten_waits_for_parts
from flower_dgan.runtime.ledger import FROM_NODE, TO_NODE, Ledger

logger = logging.getLogger("flwr")

_SHORTEST_POLL = 0.01
_LONGEST_POLL = 0.25
_PAUSE = 1.0
_LOOK = 5.0
_SLOW_PULL = 2.0
_SHORTEST_PATIENCE = 10.0
_FIRST_PATIENCE = 90.0


@dataclass(eq=False)
class _Sent:
    """A message that is out: under which ids and how often it was sent, and when it is sent again."""

    message: Message
    ids: set[str]
    first: float
    due: float
    times: int = 0

    @property
    def node(self) -> int:
        return self.message.metadata.dst_node_id


class _Awaited(NamedTuple):
    group: str | None
    enough: int | None
    deadline: float | None


def _copy(message: Message, node: int) -> Message:
    metadata = message.metadata
    return Message(message.content, dst_node_id=node, message_type=metadata.message_type, group_id=metadata.group_id)


class FastGrid(Grid):
    """Sends each message as soon as its node may have it and polls adaptively for the replies.

    Flower's own grid sleeps 3 s between two polls in deployment. This one waits a twentieth of the time that has passed
    since the last reply or message, between 10 and 250 ms.

    A message may be lost: a node is killed amid its work and started again, and nobody tells. So a message is sent
    again where Flower says that it or its node is gone, and after four times the longest wait for a reply to such a
    message so far (at least 10 s; 90 s while there was none), then after twice that, and so on. A node answers a
    message that it has answered as it did before.

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
    repeats : Counter of int
        Node id to the number of messages that were sent again.
    while_waiting : callable
        Called every few seconds while there is no reply.
    """

    def __init__(self, grid: Grid, ledger: Ledger) -> None:
        shorten_waits_for_parts()
        self._grid = grid
        self.ledger = ledger
        self.queues: set[int] = set()
        self.arrivals: dict[int, float] = {}
        self.repeats: Counter[int] = Counter()
        self.while_waiting: Callable[[], object] = lambda: None
        self._out: list[_Sent] = []
        self._held: list[Message] = []
        self._awaited: _Awaited | None = None
        self._longest_waits: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(thread_name_prefix="pull")
        self._pulls: list[Future[list[Message]]] = []

    def await_group(self, group_id: str) -> None:
        """Let the next call of :meth:`send_and_receive` return the replies to a group of messages.

        Without this it returns those to the messages that it is given.

        Parameters
        ----------
        group_id : str
            Group of messages that were given to that call or to an earlier one.
        """
        self._awaited = _Awaited(group_id, None, None)

    def await_any(self, enough: int, deadline: float | None) -> None:
        """Let the next call of :meth:`send_and_receive` return as soon as enough replies without error are in.

        Messages that have no reply then stay out, and are answered in a later call.

        Parameters
        ----------
        enough : int
            Replies to messages of this or an earlier call; fewer where no more messages are out.
        deadline : float or None
            Seconds after which one reply is enough.
        """
        self._awaited = _Awaited(None, enough, deadline)

    def redirect(self, before: int, after: int) -> None:
        """Send the messages to a node that is gone to the one that took its place."""
        self._held = [_copy(each, after) if each.metadata.dst_node_id == before else each for each in self._held]
        for sent in self._out:
            if sent.node == before:
                sent.message = _copy(sent.message, after)
                sent.due = time.monotonic()

    def give_up(self, node_id: int) -> None:
        """Wait no more for the replies of a node to what it was sent; the call that waits returns without them."""
        self._out = [sent for sent in self._out if sent.node != node_id]
        self._held = [message for message in self._held if message.metadata.dst_node_id != node_id]

    def beside(self) -> "FastGrid":
        """Return a grid for other messages, which may be used while this one waits."""
        return FastGrid(self._grid, self.ledger)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and return the replies that came within ``timeout`` seconds of the last one sent."""
        start = time.monotonic()
        groups = set()
        for message in messages:
            groups.add(message.metadata.group_id)
            self._held.append(message)
            self._send_held()
        awaited, self._awaited = self._awaited, None
        if awaited is not None and awaited.group is not None:
            groups = {awaited.group}
        waiting = [sent for sent in self._out if self._is_awaited(sent, awaited, groups)]
        enough, deadline = (None, None) if awaited is None else (awaited.enough, awaited.deadline)
        good = 0
        self.arrivals = {}
        replies: list[Message] = []
        looked = last_event = begin = time.monotonic()
        while waiting and (enough is None or good < enough):
            waited = time.monotonic() - begin
            if (timeout is not None and waited >= timeout) or (deadline is not None and waited >= deadline and good):
                break
            for sent, reply in self._pull(waiting):
                last_event = time.monotonic()
                waiting.remove(sent)
                self.arrivals[sent.node] = last_event - start
                replies.append(reply)
                good += not reply.has_error()
            waiting = [sent for sent in waiting if sent in self._out]  # those that were not given up
            self._send_held()
            for sent in waiting:
                if time.monotonic() >= sent.due:
                    self._repeat(sent)
            if waiting and (enough is None or good < enough):
                idle = time.monotonic() - last_event
                if time.monotonic() - looked > _LOOK:
                    self.while_waiting()
                    looked = time.monotonic()
                time.sleep(min(max(idle / 20, _SHORTEST_POLL), _LONGEST_POLL))
        if enough is None:  # too late: the nodes get their next message
            self._out = [sent for sent in self._out if sent not in waiting]
            self._send_held()
        return replies

    def _is_awaited(self, sent: _Sent, awaited: "_Awaited | None", groups: set[str]) -> bool:
        return (awaited is not None and awaited.enough is not None) or sent.message.metadata.group_id in groups

    def _pull(self, waiting: Sequence[_Sent]) -> Iterator[tuple[_Sent, Message]]:
        """Take the replies that are there; a message that was lost is due to be sent again.

        Flower waits up to three minutes for the rest of a reply whose sender was killed. Such a call goes on in
        its thread, and nobody else waits for it.
        """
        ids = [message_id for sent in waiting for message_id in sent.ids]
        if ids:
            self._pulls.append(self._pool.submit(lambda: list(self._grid.pull_messages(ids))))
            wait(self._pulls[-1:], _SLOW_PULL)
        done = [pull for pull in self._pulls if pull.done()]
        self._pulls = [pull for pull in self._pulls if pull not in done]
        for reply in chain.from_iterable(pull.result() for pull in done):
            sent = next((s for s in waiting if reply.metadata.reply_to_message_id in s.ids), None)
            if sent is None:  # the second reply to a message that was sent twice
                continue
            if reply.has_error() and reply.error.code in LOST:
                sent.ids.discard(reply.metadata.reply_to_message_id)
                sent.due = time.monotonic() + _PAUSE
            else:
                self._out.remove(sent)
                kind = sent.message.metadata.message_type
                self._longest_waits[kind] = max(self._longest_waits.get(kind, 0.0), time.monotonic() - sent.first)
                self.ledger.add(sent.node, FROM_NODE, reply)
                yield sent, reply

    def _send_held(self) -> None:
        """Push every message that its node may have now, in their order."""
        held, self._held = self._held, []
        for message in held:
            node = message.metadata.dst_node_id
            if node not in self.queues and any(sent.node == node for sent in self._out):
                self._held.append(message)
                continue
            now = time.monotonic()
            sent = _Sent(message, set(), now, now)
            self._out.append(sent)
            self._push(sent)

    def _repeat(self, sent: _Sent) -> None:
        logger.warning("No reply from node %d to %s: sending again.", sent.node, sent.message.metadata.message_type)
        self.repeats[sent.node] += 1
        sent.message = _copy(sent.message, sent.node)
        self._push(sent)

    def _push(self, sent: _Sent) -> None:
        self.ledger.add(sent.node, TO_NODE, sent.message)
        pushed = [str(message_id) for message_id in self._grid.push_messages([sent.message]) if message_id]
        sent.ids.update(pushed)
        longest = self._longest_waits.get(sent.message.metadata.message_type)
        patience = _FIRST_PATIENCE if longest is None else max(_SHORTEST_PATIENCE, 4 * longest)
        sent.due = time.monotonic() + (patience * 2**sent.times if pushed else _PAUSE)
        sent.times += bool(pushed)

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
