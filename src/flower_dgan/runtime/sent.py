"""A message that is out: where its reply stands, and when it is due to be sent again."""

import time

from flwr.app import Message

from flower_dgan.runtime.pull import Pull

_LONGEST_BACKOFF = 60.0


def addressed(message: Message, node: int) -> Message:
    """Return a message of the same content to a node, which the SuperLink has not seen yet."""
    metadata = message.metadata
    return Message(message.content, dst_node_id=node, message_type=metadata.message_type, group_id=metadata.group_id)


class Sent:
    """A message that has no reply yet, or whose reply nobody has taken yet.

    Parameters
    ----------
    message : Message
        What is to be sent.

    Attributes
    ----------
    message : Message
        What was sent last: another copy each time.
    pulls : dict of str to Pull
        Those that wait for a reply of the node, by the id of the copy.
    first, due : float
        When it was sent first, and when it is to be sent again, in seconds of the monotonic clock.
    times : int
        How often the SuperLink took it.
    failures : int
        How often in a row it was not taken or got lost.
    absent : bool
        Whether Flower said that its node is away.
    reply : Message or None
        What came back, once it is there.
    arrived : float
        When that was.
    expected : float or None
        Seconds that a reply of this node to such a message took before.
    """

    def __init__(self, message: Message, expected: float | None) -> None:
        self.message = message
        self.expected = expected
        self.pulls: dict[str, Pull] = {}
        self._before: list[Pull] = []
        self.first = self.due = time.monotonic()
        self.times = 0
        self.failures = 0
        self.absent = False
        self.reply: Message | None = None
        self.arrived = 0.0

    @property
    def node(self) -> int:
        """Id of the node that it is for."""
        return self.message.metadata.dst_node_id

    @property
    def kind(self) -> str:
        """Type of the message."""
        return self.message.metadata.message_type

    def is_due(self) -> bool:
        """Return whether it is to be sent again now: never while a reply may be on its way."""
        if self.reply is not None or time.monotonic() < self.due:
            return False
        return not any(pull.asking for pull in self.pulls.values())

    def took(self, pull: Pull, patience: float) -> None:
        """Note that the SuperLink took it; it is due again after ``patience`` seconds, after twice that, and so on."""
        self.pulls[pull.message_id] = pull
        self.due = time.monotonic() + patience * 2**self.times
        self.times += 1

    def failed(self) -> None:
        """Note that it was not taken, or that its last copy got lost: it is due after 1, 2, 4, ... 60 s."""
        self.due = time.monotonic() + min(2.0**self.failures, _LONGEST_BACKOFF)
        self.failures += 1

    def answered(self, reply: Message) -> None:
        """Keep the reply, and ask no more."""
        self.reply = reply
        self.arrived = time.monotonic()
        self.drop()

    def taken(self) -> Message:
        """Return the reply that is there as one to the copy that was sent last, from the node that is asked now."""
        assert self.reply is not None
        if self.reply.has_error():
            return Message(self.reply.error, reply_to=self.message)
        return Message(self.reply.content, reply_to=self.message)

    def move(self, node: int) -> None:
        """Send it to another node at once; a reply of the one before still counts."""
        self.message = addressed(self.message, node)
        self._before += self.pulls.values()
        self.pulls = {}
        self.absent, self.times, self.failures = False, 0, 0
        self.due = time.monotonic()

    def drop(self) -> None:
        """Ask for no reply any more."""
        for pull in (*self._before, *self.pulls.values()):
            pull.stop()
