"""A grid that waits for each reply by itself and keeps a ledger, around the one that Flower gives to the ServerApp."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from flwr.app import Message
from flwr.serverapp import Grid

from flower_dgan.flower.flower_chunks import cut_arrays_small
from flower_dgan.flower.flower_internals import LOST, NODE_IS_AWAY, code_name, shorten_waits_for_parts
from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.flower.journey import Journey
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger
from flower_dgan.flower.packed_messages import PackedMessages
from flower_dgan.flower.passing_grid import PassingGrid
from flower_dgan.flower.patience import Patience
from flower_dgan.flower.pull import Pull
from flower_dgan.flower.sent import Sent
from flower_dgan.flower.waiting_lines import WaitingLines
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.packing import weigh
from flower_dgan.wire.parcels import Parcel

logger = logging.getLogger("flwr")

_LOOK = 5.0
_LONGEST_NAP = 0.25
_TELLING_BYTES = 100_000
# Messages of a group that are made before the first of their replies is taken.
_MOST_OUT = 64


class _Awaited(NamedTuple):
    group: str | None = None
    enough: int | None = None
    deadline: float | None = None
    as_they_come: bool = False


class FastGrid(PassingGrid):
    """Sends each message as soon as its node may have it and takes each reply as soon as it is there.

    Flower's own grid sleeps 3 s between two questions for replies, and one slow reply holds up all others. This one has
    a :class:`~flower_dgan.flower.pull.Pull` for each message.

    A message may be lost: a node is killed amid its work and started again, and nobody tells. So a message is sent
    again where Flower says that it, or its reply, is gone; and after the time that
    :class:`~flower_dgan.flower.patience.Patience` says, then after twice that, and so on, but not while its reply is on
    the way. To a node that is away it is sent when that is back. A node
    answers a message that it has answered as it did before.

    A reply comes back as one of the node that is asked now, also where a node that this one took the place of had
    given it.

    Messages may be sent ahead, see :meth:`await_group`. A node with a queue is sent its next message at once, so that
    it finds one whenever it is done; any other is sent it when its last reply is in.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    ledger : Ledger
        Where messages are counted that the SuperLink took, and replies: whole ones, not their parts.
    envelope : Parcel or None
        The training, and how many bytes a message of Flower may have: larger ones, and larger replies, travel in parts,
        see :class:`~flower_dgan.flower.journey.Journey`. None to send and take them as they are.
    directory : Path or None
        On whose disk messages are kept, packed, until they are answered; None to keep them in memory.

    Attributes
    ----------
    queues : set of int
        Ids of the nodes that take a second message while they work on the first.
    names : dict of int to str
        What nodes are called in the log.
    arrivals : dict of int to tuple of float
        Node id to the seconds between the call and the arrival of its reply, in the last call.
    rates : dict of int to float
        Node id to the bytes a second of its last reply that was large enough to tell.
    sendings : dict of int to int
        Node id to how often the message was sent that its last reply answers.
    repeats : Counter of int
        Node id to the number of messages that were sent again.
    while_waiting : callable
        Called every few seconds while there is no reply.
    """

    def __init__(
        self, grid: Grid, ledger: Ledger, envelope: Parcel | None = None, directory: Path | None = None
    ) -> None:
        shorten_waits_for_parts()
        cut_arrays_small()
        super().__init__(grid)
        self._envelope = envelope
        self._directory = directory
        self._packed = PackedMessages(directory)
        self._as_bytes = not isinstance(grid, InProcessGrid)  # to which objects are no requests
        self.ledger = ledger
        self.queues: set[int] = set()
        self.names: dict[int, str] = {}
        self.arrivals: dict[int, float] = {}
        self.rates: dict[int, float] = {}
        self.sendings: dict[int, int] = {}
        self.repeats: Counter[int] = Counter()
        self.while_waiting: Callable[[], object] = lambda: None
        self._out: list[Sent] = []
        self._held: list[Message] = []
        self._most: float = math.inf
        self._at_once: set[str] = set()
        self._awaited: _Awaited | None = None
        self._waits: dict[tuple[int, str], float] = {}
        self._patience = Patience()
        self._waiting_lines = WaitingLines(self.names)
        self._news: SimpleQueue[tuple[Sent, Pull, Message | Exception]] = SimpleQueue()

    def await_group(self, group_id: str, *, as_they_come: bool = False) -> None:
        """Let the next call of :meth:`send_and_receive` return the replies to a group of messages.

        Without this it returns those to the messages that it is given.

        Parameters
        ----------
        group_id : str
            Group of messages that were given to that call or to an earlier one.
        as_they_come : bool
            Whether that call returns an iterator, which gives each reply when it is there, waits for the next when it
            is asked for it, and has at most 64 messages out: the others are made when replies were taken. So neither
            the messages nor the replies of a round are all in memory, however many clients there are.
        """
        self._awaited = _Awaited(group_id, as_they_come=as_they_come)

    def await_any(self, enough: int, deadline: float | None, *, as_they_come: bool = False) -> None:
        """Let the next call of :meth:`send_and_receive` return as soon as enough replies without error are in.

        Messages that have no reply then stay out, and are answered in a later call.

        Parameters
        ----------
        enough : int
            Replies to messages of this or an earlier call; fewer where no more messages are out.
        deadline : float or None
            Seconds after which one reply is enough.
        as_they_come : bool
            Whether that call returns an iterator, which gives each reply when it is there. All messages are out.
        """
        self._awaited = _Awaited(None, enough, deadline, as_they_come)

    def redirect(self, before: int, after: int) -> None:
        """Send the messages to a node that is gone to the one that took its place; a reply of the old one counts."""
        for message in self._held:
            if message.metadata.dst_node_id == before:
                message.metadata.dst_node_id = after
        for sent in self._out:
            if sent.node == before:
                sent.move(after)

    def give_up(self, node: int | None = None) -> None:
        """Ask no more for the replies that are missing, and send and hold nothing for them: nobody wants them any more.

        Parameters
        ----------
        node : int or None
            Of which node; None for all.
        """
        for sent in [each for each in self._out if node in (None, each.node)]:
            sent.drop()
            self._out.remove(sent)
        self._held = [each for each in self._held if node not in (None, each.metadata.dst_node_id)]

    def beside(self) -> "FastGrid":
        """Return a grid for other messages, which may be used while this one waits."""
        return FastGrid(self._grid, self.ledger, self._envelope, self._directory)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send messages and return the replies that came within ``timeout`` seconds of the last one sent.

        It is a list, but for a call that :meth:`await_group` or :meth:`await_any` made one of replies as they come.
        """
        awaited, self._awaited = self._awaited or _Awaited(), None
        replies = self._replies(messages, timeout, awaited)
        return replies if awaited.as_they_come else list(replies)

    def _replies(self, messages: Iterable[Message], timeout: float | None, awaited: _Awaited) -> Iterator[Message]:
        start = looked = begin = time.monotonic()
        coming = iter(messages)
        enough, deadline = awaited.enough, awaited.deadline
        groups = set() if awaited.group is None else {awaited.group}
        self._at_once = groups if awaited.group is None else set()
        if awaited.as_they_come:
            self._most = math.inf if awaited.group is None else _MOST_OUT
        more = due = True  # whether there are messages to be made, and of what is awaited
        good = 0
        self.arrivals = {}
        nap = 0.0
        while True:
            while more and (self._at_once is groups or len(self._out) + len(self._held) < self._most):
                if more := (message := next(coming, None)) is not None:
                    if awaited.group is None:
                        groups.add(message.metadata.group_id)
                    due = message.metadata.group_id in groups  # groups come one after the other
                    self._held.append(message)
                    self._send_held()
                looked = begin = time.monotonic()
            waiting = [sent for sent in self._out if enough is not None or sent.group in groups]
            held = enough is None and any(message.metadata.group_id in groups for message in self._held)
            if not (waiting or held or (more and due)) or (enough is not None and good >= enough):
                break
            waited = time.monotonic() - begin
            if (timeout is not None and waited >= timeout) or (deadline is not None and waited >= deadline and good):
                break
            self._hear(nap)
            for sent in [each for each in waiting if each.reply is not None]:
                waiting.remove(sent)
                self._out.remove(sent)
                self.arrivals[sent.node] = max(0.0, sent.arrived - start)
                self.sendings[sent.node] = sent.copies
                reply = sent.taken()
                good += not reply.has_error()
                yield reply
                del reply, sent  # which would be kept until the next one is there
                looked = time.monotonic()
            if self._send_held():
                begin = time.monotonic()
            self._send_again(waiting)
            if time.monotonic() - looked > _LOOK:
                self.while_waiting()
                looked = time.monotonic()
                waiting = [sent for sent in waiting if sent in self._out]  # some may be given up
            self._waiting_lines.tell(waiting)
            ends = [begin + seconds for seconds in (timeout, deadline) if seconds is not None]
            nap = min([_LONGEST_NAP, *(max(0.01, end - time.monotonic()) for end in ends)])
        # Drawn from the generator as it is now; those that are awaited are too late.
        if awaited.group is not None:
            self._held = [message for message in self._held if message.metadata.group_id not in groups]
            coming = (message for message in coming if message.metadata.group_id not in groups)
        self._held += coming
        if enough is None:  # too late: the nodes get their next message
            for sent in waiting:
                sent.drop()
            self._out = [sent for sent in self._out if sent not in waiting]
            self._send_held()

    def _hear(self, nap: float) -> None:
        """Take in what the pulls found, and wait for so many seconds for something if there is nothing."""
        try:
            self._take(*self._news.get(timeout=nap))
            while True:
                self._take(*self._news.get_nowait())
        except Empty:
            return

    def _take(self, sent: Sent, pull: Pull, found: Message | Exception) -> None:
        if isinstance(found, Exception):
            raise found
        if sent not in self._out or not sent.wants(pull):
            return
        if found.has_error() and found.error.code in LOST:
            if sent.lost(pull):
                sent.absent = found.error.code == NODE_IS_AWAY
                self._fail(sent, f"{code_name(found.error.code)}: {found.error.reason}")
            return
        if found.has_content() and (size := weigh(found.content)) >= _TELLING_BYTES:
            self.rates[sent.node] = size / max(pull.seconds, 1e-6)
        kind, since = sent.sent_kind, sent.since
        whole = sent.answered(found)
        self._patience.note(kind, sent.arrived - since)
        if whole:
            self._waits[sent.node, sent.kind] = sent.arrived - sent.first
            self.ledger.add(sent.node, FROM_NODE, sent.taken())
        else:
            self._push(sent)

    def _fail(self, sent: Sent, reason: str) -> None:
        if not sent.failures:
            logger.warning("No reply from %s to %s. %s", self._called(sent.node), sent.kind, reason)
        sent.failed()

    def _called(self, node: int) -> str:
        return f"{self.names[node]} (node {node})" if node in self.names else f"node {node}"

    def _send_held(self) -> int:
        """Push every message that its node may have now, in their order; return how many."""
        held, self._held = self._held, []
        for message in held:
            node = message.metadata.dst_node_id
            busy = node not in self.queues and any(sent.node == node and sent.reply is None for sent in self._out)
            full = len(self._out) >= self._most and message.metadata.group_id not in self._at_once
            if busy or full:
                self._held.append(message)
                continue
            kind = message.metadata.message_type
            envelope = None if kind == JOIN else self._envelope  # what a node of another version can read
            journey = Journey(message, envelope, as_bytes=self._as_bytes, packed=self._packed)
            sent = Sent(journey, self._waits.get((node, kind)))
            self._out.append(sent)
            self._push(sent)
        return len(held) - len(self._held)

    def _send_again(self, waiting: Sequence[Sent]) -> None:
        """Push each message that is due, but for those whose node is away."""
        due = [sent for sent in waiting if sent.is_due()]
        connected = set(self.get_node_ids()) if any(sent.absent for sent in due) else set()
        for sent in due:
            if sent.absent and sent.node not in connected:
                sent.failed()
                continue
            if not sent.failures:  # else it is said why
                logger.warning("No reply from %s to %s in time.", self._called(sent.node), sent.kind)
            sent.absent = False
            sent.copy()
            self._push(sent, again=True)

    def _push(self, sent: Sent, *, again: bool = False) -> None:
        message_id = next((str(found) for found in self._grid.push_messages([sent.message]) if found), None)
        if message_id is None:
            self._fail(sent, "The SuperLink takes no message for it: Flower has it no more in this federation.")
            return
        again = again and sent.copies > 0
        if again:
            logger.info("Sent %s to %s again.", sent.kind, self._called(sent.node))
            self.repeats[sent.node] += 1
        if sent.journey.all_sent and not (again and sent.journey.in_parts):  # then one part was sent again
            self.ledger.add(sent.node, TO_NODE, sent.journey.whole())
        pull = Pull(
            self._grid, message_id, lambda: len(self._out), lambda pull, found: self._news.put((sent, pull, found))
        )
        sent.took(pull, self._patience.seconds(sent))
