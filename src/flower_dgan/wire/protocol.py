"""Which protocol and which training a message belongs to."""

import re
from dataclasses import dataclass

from flwr.app import ConfigRecord, ConfigRecordValues, RecordDict

from flower_dgan.errors import ProtocolError, VersionError
from flower_dgan.wire.records import check_names, read_value, record_of

PROTOCOL_VERSION = 13


@dataclass(frozen=True)
class Training:
    """Which training a message of the server belongs to.

    Attributes
    ----------
    identity : str
        16 hexadecimal digits, drawn when the training began.
    attempt : int
        How often it was started: 1, and one more each time that it is resumed.
    """

    identity: str
    attempt: int

    def values(self) -> dict[str, ConfigRecordValues]:
        """Return what every message of the server says of itself."""
        return {"protocol-version": PROTOCOL_VERSION, "training": self.identity, "attempt": self.attempt}

    @classmethod
    def of(cls, content: RecordDict, name: str) -> "Training":
        """Read it from a record of a message, after the protocol version; raises ProtocolError."""
        check_version(content, name)
        record = record_of(content, name, ConfigRecord)
        identity = read_value(record, "training", str)
        if not re.fullmatch("[0-9a-f]{16}", identity):
            raise ProtocolError(f"a training named {identity[:40]!r}")
        return cls(identity, read_value(record, "attempt", int))

    def to_records(self, name: str) -> RecordDict:
        """Return the content of a message that says this in one record, and no more: its type says what is wanted."""
        return RecordDict({name: ConfigRecord(self.values())})

    @classmethod
    def from_records(cls, content: RecordDict, name: str) -> "Training":
        """Read such a message; raises ProtocolError."""
        training = cls.of(content, name)
        check_names(content, {name: (ConfigRecord, set(training.values()))})
        return training


def check_version(content: RecordDict, name: str) -> None:
    """Compare protocol versions before anything else, so that a newer peer is named as such; raises ProtocolError."""
    version = record_of(content, name, ConfigRecord).get("protocol-version")
    if version != PROTOCOL_VERSION:
        raise VersionError(
            f"protocol version {str(version)[:80]} meets version {PROTOCOL_VERSION}: "
            "install the same flower-dgan everywhere"
        )
