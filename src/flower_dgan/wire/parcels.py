"""Messages as bytes: those that are larger than a link should carry at once, cut into parts of equal length.

What fits into one message may be one part, too: Flower makes a request for every record, array and chunk of an array,
on each of a message's hops, and bytes are one array. It is answered in the same way.

A part names the whole by its hash, so that one that comes twice is the same part, and says how many parts and bytes
there are, so that its length is known before it is read. Every message but the one that asks a node to join carries a
record ``parcel``, which also says how large the answer may be.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, ConfigRecordValues, RecordDict

from flower_dgan.errors import ProtocolError
from flower_dgan.wire.packing import unpack_content, weigh
from flower_dgan.wire.records import check_names, read_array, read_value, record_of

PART = "query.part"
"""Type of a message that brings a part which is not the last one, or asks for a part of an answer."""

PARCEL = "parcel"
"""Record that says what a message is a part of."""

LARGEST = 2_000_000_000
"""Bytes of a message in all its parts."""

MOST_PARTS = 20_000

_STATE = "state"
_BYTES = "part"
_KEPT, _MISSING = "kept", "missing"


def room(limit: int) -> int:
    """Return how many bytes of content fit into a message of so many bytes."""
    return limit * 97 // 100 - 2_000


def too_large(content: RecordDict, limit: int) -> bool:
    """Return whether a content is too large for one message of so many bytes."""
    return weigh(content) > room(limit)


def has_arrays(content: RecordDict) -> bool:
    """Return whether a content has several arrays, so that it is fewer objects as bytes."""
    return sum(map(len, content.array_records.values())) > 1


@dataclass(frozen=True)
class Whole:
    """What the parts are of.

    Attributes
    ----------
    digest : str
        SHA-256 of all bytes, hexadecimal.
    size : int
        All bytes, 1 .. ``LARGEST``.
    count : int
        Parts, 1 .. ``MOST_PARTS``.
    """

    digest: str
    size: int
    count: int

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.digest):
            raise ProtocolError(f"a part of {self.digest[:80]!r}, which is no hash")
        if not (1 <= self.size <= LARGEST and 1 <= self.count <= min(MOST_PARTS, self.size)):
            raise ProtocolError(f"{self.size} bytes in {self.count} parts")

    @classmethod
    def of(cls, data: bytes, limit: int) -> Self:
        """Return that of some data in messages of so many bytes."""
        return cls(hashlib.sha256(data).hexdigest(), len(data), -(-len(data) // room(limit)))

    def place(self, number: int) -> slice:
        """Return where a part is, from 0; raises ProtocolError if there is none of that number."""
        if not 0 <= number < self.count:
            raise ProtocolError(f"part {number} of {self.count}")
        step = -(-self.size // self.count)
        return slice(min(number * step, self.size), min((number + 1) * step, self.size))

    def join(self, data: bytes) -> RecordDict:
        """Return the content that the bytes of all parts are; raises ProtocolError if they are not these."""
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise ProtocolError("parts that together do not have the hash that each of them announced")
        return unpack_content(data)


@dataclass(frozen=True)
class Parcel:
    """What a message carries besides, or in place of, what it is about.

    Attributes
    ----------
    training : str
        Identity of the training, 16 hexadecimal digits; empty in an answer.
    limit : int
        Bytes that an answer may have; 0 in an answer.
    number : int
        Which part, from 0.
    whole : Whole or None
        What it is a part of; None if the message is whole.
    """

    training: str
    limit: int
    number: int = 0
    whole: Whole | None = None

    def records(self, part: bytes | None = None) -> RecordDict:
        """Return the content of a message with this part, or, without one, of a message that asks for it."""
        assert self.whole is not None
        values: dict[str, ConfigRecordValues] = {
            "digest": self.whole.digest,
            "size": self.whole.size,
            "count": self.whole.count,
            "number": self.number,
        }
        content = RecordDict({PARCEL: ConfigRecord(self._envelope() | values)})
        if part is not None:
            content[_BYTES] = ArrayRecord({"bytes": Array(np.frombuffer(part, np.uint8))})
        return content

    def beside(self, content: RecordDict) -> RecordDict:
        """Return a whole content together with this."""
        return RecordDict({**content, PARCEL: ConfigRecord(self._envelope())})

    def _envelope(self) -> dict[str, ConfigRecordValues]:
        return {"training": self.training, "limit": self.limit}

    def at(self, number: int) -> Self:
        """Return that of another part."""
        return replace(self, number=number)

    @classmethod
    def from_records(cls, content: RecordDict) -> Self:
        """Read the record of a message; raises ProtocolError."""
        record = record_of(content, PARCEL, ConfigRecord)
        training, limit = read_value(record, "training", str), read_value(record, "limit", int)
        if not re.fullmatch("([0-9a-f]{16})?", training) or not 0 <= limit <= LARGEST or (limit and room(limit) <= 0):
            raise ProtocolError(f"a part of training {training[:40]!r} with answers of {limit} bytes")
        if set(record) == {"training", "limit"}:
            return cls(training, limit)
        digest, size = read_value(record, "digest", str), read_value(record, "size", int)
        whole = Whole(digest, size, read_value(record, "count", int))
        return cls(training, limit, read_value(record, "number", int), whole)

    def part(self, content: RecordDict) -> bytes:
        """Return the bytes of the part that a message brings; raises ProtocolError if their number is another."""
        assert self.whole is not None
        place = self.whole.place(self.number)
        keys = {"training", "limit", "digest", "size", "count", "number"}
        check_names(content, {PARCEL: (ConfigRecord, keys), _BYTES: (ArrayRecord, {"bytes"})})
        return read_array(content.array_records[_BYTES]["bytes"], "uint8", (place.stop - place.start,)).tobytes()


def brings_part(content: RecordDict) -> bool:
    """Return whether a message with a parcel brings a part rather than asking for one."""
    return _BYTES in content


def kept() -> RecordDict:
    """Return the answer to a part that is not the last one."""
    return RecordDict({PARCEL: ConfigRecord({_STATE: _KEPT})})


def missing() -> RecordDict:
    """Return the answer of a node that has not all parts before, or no such answer any more."""
    return RecordDict({PARCEL: ConfigRecord({_STATE: _MISSING})})


def state_of(content: RecordDict) -> str | None:
    """Return which of these an answer is, ``kept`` or ``missing``; None if it is neither."""
    record = content.get(PARCEL)
    found = record.get(_STATE) if isinstance(record, ConfigRecord) else None
    return found if found in (_KEPT, _MISSING) else None
