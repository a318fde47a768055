"""How one message gets to its node and its answer back, in as many messages as the setting for their size wants."""

from flwr.app import Error, Message, RecordDict

from flower_dgan.errors import ProtocolError
from flower_dgan.flower.packed_messages import Held, Packed, PackedMessages
from flower_dgan.wire.packing import pack_content, unpack_content
from flower_dgan.wire.parcels import PARCEL, PART, Parcel, Whole, has_arrays, state_of, too_large

BROKEN = 1100
"""Error code of an answer whose parts make no whole."""

_MOST_BEGINNINGS = 4


class Journey:
    """A message, whole or in parts, and what came back of its answer.

    Parts go one after the other: the node acknowledges each but the last one, which it answers. An answer that is too
    large comes as its first part, and the others are asked for. A node that lost parts says so, and gets all anew.

    Parameters
    ----------
    message : Message
        What is to be sent.
    envelope : Parcel or None
        The training, and how large a message may be; None to send it as it is.
    as_bytes : bool
        Whether a message that fits, and its answer, are packed where they have several arrays.
    packed : PackedMessages or None
        Where what is packed is kept; None for memory. The message has no content from then on: it is there once.

    Attributes
    ----------
    message : Message
        As given, without its content where that was packed.
    """

    def __init__(
        self,
        message: Message,
        envelope: Parcel | None,
        *,
        as_bytes: bool = False,
        packed: PackedMessages | None = None,
    ) -> None:
        self.message = message
        self._envelope = envelope
        self._data: Packed | Held | None = None
        self._question: Whole | None = None
        content = message.content
        if envelope is not None and (too_large(content, envelope.limit) or (as_bytes and has_arrays(content))):
            data = pack_content(content)
            self._question = Whole.of(data, envelope.limit)
            self._data = (packed or PackedMessages(None)).put(data)
            message.content = RecordDict()
        self._beginnings = 0
        self._begin()

    def _begin(self) -> None:
        self._beginnings += 1
        self._number = 0
        self._whole = self._question
        self._answer: Whole | None = None
        self._parts: list[bytes] = []

    @property
    def is_packed(self) -> bool:
        """Whether the content of the message is kept as bytes, so that no other need be in memory."""
        return self._question is not None

    def whole(self) -> Message:
        """Return the message with its content, as it was given."""
        if self._data is None:
            return self.message
        about = self.message.metadata
        return Message(
            unpack_content(self._data.read()),
            dst_node_id=about.dst_node_id,
            message_type=about.message_type,
            group_id=about.group_id,
        )

    def step(self, node: int) -> Message:
        """Return what is to be sent to a node now: a new message each time."""
        content, kind = self.message.content, self.message.metadata.message_type
        if self._envelope is not None:
            if self._answer is not None:
                kind = PART
                content = Parcel(self._envelope.training, self._envelope.limit, self._number, self._answer).records()
            elif self._whole is not None:
                kind = kind if self.all_sent else PART
                parcel = Parcel(self._envelope.training, self._envelope.limit, self._number, self._whole)
                assert self._data is not None
                content = parcel.records(self._data.read(self._whole.place(self._number)))
            else:
                content = self._envelope.beside(content)
        group = self.message.metadata.group_id
        return Message(content, dst_node_id=node, message_type=kind, group_id=group)

    @property
    def all_sent(self) -> bool:
        """Whether what is sent now is the message, or the last part of it."""
        return self._answer is None and (self._whole is None or self._number == self._whole.count - 1)

    @property
    def in_parts(self) -> bool:
        """Whether the message, or what came of its answer, is in several parts."""
        return any(whole is not None and whole.count > 1 for whole in (self._whole, self._answer))

    def begin_anew(self) -> None:
        """Forget what was sent and came, as another node goes on."""
        self._beginnings = 0
        self._begin()

    def take(self, reply: Message) -> RecordDict | Error | None:
        """Take the answer to what was sent last, and return the whole answer, or None if there is more to send."""
        if reply.has_error() or PARCEL not in reply.content:
            return reply.error if reply.has_error() else reply.content
        try:
            return self._take(reply.content)
        except ProtocolError as error:
            return Error(code=BROKEN, reason=f"an answer in parts: {error}")

    def _take(self, content: RecordDict) -> RecordDict | None:
        state = state_of(content)
        if state == "missing":
            if self._beginnings == _MOST_BEGINNINGS:
                raise ProtocolError(f"parts were lost {_MOST_BEGINNINGS} times")
            self._begin()
            return None
        if state == "kept":
            if self.all_sent or self._answer is not None:
                raise ProtocolError("an acknowledgement in place of an answer")
            self._number += 1
            return None
        parcel = Parcel.from_records(content)
        if self._envelope is None or parcel.whole is None or not (self.all_sent or self._answer is not None):
            raise ProtocolError("a part of an answer that was not asked for")
        if self._answer is None:
            self._answer, self._number = parcel.whole, 0
        if (parcel.whole, parcel.number) != (self._answer, self._number):
            raise ProtocolError("another part than was asked for")
        self._parts.append(parcel.part(content))
        self._number += 1
        return self._answer.join(b"".join(self._parts)) if self._number == self._answer.count else None
