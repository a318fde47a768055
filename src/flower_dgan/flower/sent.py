"""A message that is out: where its reply stands, and when it is due to be sent again."""

import time

from flwr.app import Error, Message, RecordDict

from flower_dgan.flower.journey import Journey
from flower_dgan.flower.pull import Pull

_LONGEST_BACKOFF, _LONGEST_ABSENCE = 60.0, 5.0


class Sent:
    """A message that has no reply yet, or whose reply nobody has taken yet.

    Parameters
    ----------
    journey : Journey
        The message that is to be sent, and in which parts.
    expected : float or None
        Seconds that a reply of this node to such a message took before.

    Attributes
    ----------
    journey : Journey
        As given.
    message : Message
        What was sent last, the message or a part of it: another copy each time.
    pulls : dict of str to Pull
        Those that wait for a reply of the node, by the id of the copy.
    first, since, due : float
        When the message was sent, when the part that is under way was, and when that is to be sent again, in seconds of
        the monotonic clock.
    times : int
        How often the SuperLink took that part.
    copies : int
        How often the SuperLink took it or a part of it.
    failures : int
        How often in a row it was not taken or got lost.
    absent : bool
        Whether Flower said that its node is away.
    reply : RecordDict, Error or None
        The whole answer, once it is there.
    arrived : float
        When that was.
    expected : float or None
        Seconds that a reply of this node to such a message took before.
    """

    def __init__(self, journey: Journey, expected: float | None) -> None:
        self.journey = journey
        self.message = journey.step(journey.message.metadata.dst_node_id)
        self.expected = expected
        self.pulls: dict[str, Pull] = {}
        self._before: list[Pull] = []
        self.first = self.since = self.due = time.monotonic()
        self.times = 0
        self.copies = 0
        self.failures = 0
        self.absent = False
        self.reply: RecordDict | Error | None = None
        self.arrived = 0.0

    @property
    def node(self) -> int:
        """Id of the node that it is for."""
        return self.message.metadata.dst_node_id

    @property
    def kind(self) -> str:
        """Type of the message."""
        return self.journey.message.metadata.message_type

    @property
    def group(self) -> str:
        """Group of the message."""
        return self.journey.message.metadata.group_id

    @property
    def sent_kind(self) -> str:
        """Type of what was sent last, another one where that is a part."""
        return self.message.metadata.message_type

    def lost(self, pull: Pull) -> bool:
        """Forget a pull that ended; return whether no other waits for an answer of the node."""
        return self.pulls.pop(pull.message_id, None) is not None and not self.pulls

    def wants(self, pull: Pull) -> bool:
        """Return whether what a pull brings is an answer that is still missing, not the second one to something."""
        return self.reply is None and (pull.message_id in self.pulls or pull in self._before)

    def is_due(self) -> bool:
        """Return whether it is to be sent again now: never while a reply may be on its way."""
        if self.reply is not None or time.monotonic() < self.due:
            return False
        return not any(pull.asking for pull in self.pulls.values())

    def took(self, pull: Pull, patience: float) -> None:
        """Note that the SuperLink took it; it is due again after ``patience`` seconds, after twice that, and so on."""
        self.pulls[pull.message_id] = pull
        if self.journey.is_packed:
            # The SuperLink has it, in a simulation this very object; another copy is made of what is kept.
            kind, group = self.sent_kind, self.message.metadata.group_id
            self.message = Message(RecordDict(), dst_node_id=self.node, message_type=kind, group_id=group)
        self.due = time.monotonic() + patience * 2 ** min(self.times, 9)
        self.times += 1
        self.copies += 1

    def failed(self) -> None:
        """Note that it was not taken, or that its last copy got lost: it is due after 1, 2, 4, ... 60 s.

        While its node is away that is when to look for the node, at least every 5 s.
        """
        longest = _LONGEST_ABSENCE if self.absent else _LONGEST_BACKOFF
        self.due = time.monotonic() + min(2.0 ** min(self.failures, 9), longest)
        self.failures += 1

    def answered(self, reply: Message) -> bool:
        """Take the answer to what was sent last; return whether the answer to the message is whole, or False to go on.

        What is to be sent then is :attr:`message`.
        """
        self.arrived = time.monotonic()
        self.reply = self.journey.take(reply)
        self.drop()
        if self.reply is None:
            self._next(self.node)
        return self.reply is not None

    def taken(self) -> Message:
        """Return the whole answer as one to the message, from the node that is asked now."""
        assert self.reply is not None
        self.journey.message.metadata.dst_node_id = self.node
        return Message(self.reply, reply_to=self.journey.message)

    def copy(self) -> None:
        """Make another copy of what was sent last."""
        self.message = self.journey.step(self.node)

    def move(self, node: int) -> None:
        """Send it to another node at once, from its first part on; an answer of the one before still counts."""
        if self.journey.in_parts:
            self.drop()
        else:
            self._before += self.pulls.values()
        if self.reply is None:
            self.journey.begin_anew()
        self._next(node)

    def _next(self, node: int) -> None:
        self.message = self.journey.step(node)
        self.pulls = {}
        self.absent, self.times, self.failures = False, 0, 0
        self.since = self.due = time.monotonic()

    def drop(self) -> None:
        """Ask for no reply any more."""
        for pull in (*self._before, *self.pulls.values()):
            pull.stop()
        self._before, self.pulls = [], {}  # each of which keeps this, with message and reply
