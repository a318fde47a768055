"""The messages of a sum whose parts no server reads: each site offers a key, then sends its vector behind masks."""

from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.errors import ProtocolError
from flower_dgan.wire.noisy_sum_messages import ASKED
from flower_dgan.wire.protocol import PROTOCOL_VERSION, Training, check_version
from flower_dgan.wire.records import check_names, read_array, read_value, record_of

SUM_KEY, MASKED_SUM = "query.sum_key", "query.masked_sum"
OFFER, RECORD = "sum-key", "masked-sum"

_KEY, _SIGNATURE = 32, 64
_OFFER = 2 * _KEY + _SIGNATURE
_MOST_SITES = 1024


@dataclass(frozen=True, order=True)
class Offer:
    """What a site says of itself before a sum, and what the server passes on to the others.

    Attributes
    ----------
    identity, key : bytes
        Its public identity, and its public key for this sum, 32 bytes each.
    signature : bytes
        Of the identity on the key and on what the sum is, 64 bytes.
    """

    identity: bytes
    key: bytes
    signature: bytes

    def to_records(self) -> RecordDict:
        """Return the content of the answer to ``query.sum_key``."""
        return RecordDict({OFFER: ConfigRecord({"protocol-version": PROTOCOL_VERSION, "offer": self.packed})})

    @classmethod
    def from_records(cls, content: RecordDict) -> "Offer":
        """Read that answer; raises ProtocolError."""
        check_version(content, OFFER)
        check_names(content, {OFFER: (ConfigRecord, {"protocol-version", "offer"})})
        return cls.unpacked(read_value(content.config_records[OFFER], "offer", bytes))

    @classmethod
    def unpacked(cls, packed: bytes) -> "Offer":
        """Return what was packed; raises ProtocolError."""
        (found,) = _offers(packed, 1)
        return found

    @property
    def packed(self) -> bytes:
        """All of it, one part after the other."""
        return self.identity + self.key + self.signature


@dataclass(frozen=True)
class MaskedSumRequest:
    """Asks a site for its vector, with masks that it shares with all others of a list.

    Attributes
    ----------
    training : Training
        Of which training.
    offers : tuple of Offer
        Of all sites of the sum, by their identities in ascending order, none twice.
    """

    training: Training
    offers: tuple[Offer, ...]

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values = self.training.values() | {"offers": b"".join(offer.packed for offer in self.offers)}
        return RecordDict({ASKED: ConfigRecord(values)})

    @classmethod
    def from_records(cls, content: RecordDict) -> "MaskedSumRequest":
        """Read the message; raises ProtocolError."""
        training = Training.of(content, ASKED)
        check_names(content, {ASKED: (ConfigRecord, {*training.values(), "offers"})})
        offers = _offers(read_value(record_of(content, ASKED, ConfigRecord), "offers", bytes), _MOST_SITES)
        identities, keys = [each.identity for each in offers], {each.key for each in offers}
        if identities != sorted({*identities}) or len(keys) < len(offers):
            raise ProtocolError("a list of sites that has one twice, or is not in its order")
        return cls(training, offers)


@dataclass(frozen=True)
class MaskedSumAnswer:
    """A site's answer: its vector behind masks.

    Attributes
    ----------
    words : uint64 array
        Of the shape of the sum, in steps of :data:`flower_dgan.privacy.noise.GRID`, modulo 2^64.
    """

    words: NDArray[np.uint64]

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values = ConfigRecord({"protocol-version": PROTOCOL_VERSION})
        return RecordDict({"answer": values, RECORD: ArrayRecord({"words": Array(self.words)})})

    @classmethod
    def from_records(cls, content: RecordDict, shape: tuple[int, int]) -> "MaskedSumAnswer":
        """Read the message, with numbers of this shape; raises ProtocolError."""
        check_version(content, "answer")
        check_names(content, {"answer": (ConfigRecord, {"protocol-version"}), RECORD: (ArrayRecord, {"words"})})
        return cls(read_array(content.array_records[RECORD]["words"], "uint64", shape).astype(np.uint64))


def _offers(packed: bytes, most: int) -> tuple[Offer, ...]:
    if not packed or len(packed) % _OFFER or len(packed) > most * _OFFER:
        raise ProtocolError(f"offers of keys in {len(packed)} bytes, where {_OFFER} each of 1 to {most} are due")
    parts = [packed[start : start + _OFFER] for start in range(0, len(packed), _OFFER)]
    return tuple(Offer(each[:_KEY], each[_KEY : 2 * _KEY], each[2 * _KEY :]) for each in parts)
