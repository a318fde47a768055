"""What a node says where it does not answer: a code from this list, and the sentence that belongs to it.

No text of an exception leaves a node: it may hold a path, a line of a file, or a patient's name. Details are in the
node's own log. In a simulation one owner holds both ends, and is told them in place of the sentence.
"""

from enum import IntEnum

from flwr.app import Error

from flower_dgan.errors import (
    ConfigError,
    DataError,
    DeviceMemoryError,
    DganError,
    ForgottenError,
    PolicyError,
    ProtocolError,
    StorageError,
    VersionError,
)
from flower_dgan.printable import printable

LONGEST_REASON = 300
"""Characters of a node's reason that a server keeps."""


class Refusal(IntEnum):
    """Codes of error replies; Flower's own are below 1000."""

    FAILED = 1000
    VERSION = 1001
    PROTOCOL = 1002
    SETTINGS = 1003
    DATA = 1004
    FORGOTTEN = 1005
    STORAGE = 1006
    OTHER = 1007
    UNDECLARED = 1008
    MEMORY = 1009
    LABEL_MAPS = 1010
    LABEL_MAPS_TO_CLIENTS = 1011
    WEIGHTS = 1012
    PIXEL_LOSSES = 1013
    QUERIES_PER_IMAGE = 1014
    PLUGINS = 1015
    MOMENTS = 1016
    SCORES = 1017
    LEVELS = 1018
    APPROVAL = 1019
    APPROVAL_HOURS = 1020
    REVOKED = 1021
    FEEDBACK = 1022
    DISTINCT_IMAGES = 1023
    TRAININGS = 1024
    KEPT_TRAININGS = 1025
    RETURNS = 1026
    IMAGE_SIZE = 1027
    BATCH_SIZE = 1028
    DISCRIMINATORS = 1029
    LOSS_WEIGHTS = 1030
    LEARNING_RATE = 1031
    SECOND_DECAY = 1032
    GRADIENT_PENALTY = 1033
    ROUNDS = 1034
    STEPS_A_MESSAGE = 1035
    MEMORY_MIB = 1036
    EPSILON = 1037
    PEERS = 1038

    @property
    def sentence(self) -> str:
        """What is told of it."""
        if self in _OF_OWNERS:
            return _OF_OWNERS[self]
        if self >= Refusal.LABEL_MAPS:
            return f"The policy of the node's owner does not allow this ({self.name.lower()})."
        return f"{_SENTENCES[self]} Its owner finds the details in the node's log."


_SENTENCES = {
    Refusal.FAILED: "The node failed.",
    Refusal.VERSION: "The node has another version of flower-dgan: install the same one at the server and every node.",
    Refusal.PROTOCOL: "The node was sent what does not follow the protocol.",
    Refusal.SETTINGS: "The node cannot run with these settings, or with its own.",
    Refusal.DATA: "The node's data cannot be used for this training.",
    Refusal.FORGOTTEN: "The node has not joined this training, or what it kept of it is gone.",
    Refusal.STORAGE: "The node cannot read or write its own files; its disk may be full.",
    Refusal.UNDECLARED: "The algorithm would have let something leave that it does not say it releases.",
    Refusal.MEMORY: "The memory of the node's device does not do for this training.",
    Refusal.OTHER: "The node cannot take part in this training as it is configured.",
}


_OF_OWNERS = {
    Refusal.APPROVAL: "The node's owner has not approved this training yet: it waits (approval).",
    Refusal.APPROVAL_HOURS: "The node's owner did not approve this training in time (approval_hours).",
    Refusal.REVOKED: "The node's owner has ended this training (revoked).",
    Refusal.FEEDBACK: "The policy of the node's owner lets nothing leave without differential privacy, and feedback on "
    "synthetic images has none (feedback).",
}


def refusal_of(error: Exception) -> Refusal:
    """Return the code of an error."""
    match error:
        case PolicyError():
            return Refusal[error.rule.upper()]
        case VersionError():
            return Refusal.VERSION
        case ProtocolError():
            return Refusal.PROTOCOL
        case ConfigError():
            return Refusal.SETTINGS
        case DataError():
            return Refusal.DATA
        case ForgottenError():
            return Refusal.FORGOTTEN
        case DeviceMemoryError():
            return Refusal.MEMORY
        case StorageError() | OSError():
            return Refusal.STORAGE
        case DganError():
            return Refusal.OTHER
    return Refusal.FAILED


def refuse(error: Exception, *, details: bool) -> Error:
    """Return the reply to a message that ended in an error: its text only where one owner holds both ends."""
    refusal = refusal_of(error)
    told = str(error) if isinstance(error, DganError) else f"{type(error).__name__}: {error}"
    return Error(code=refusal, reason=told if details else refusal.sentence)


def reason_of(error: Error | DganError) -> str:
    """Return, at the server, what an error reply says, or what is wrong with a reply: a peer may have sent any text."""
    said = (error.reason or f"error {error.code}") if isinstance(error, Error) else str(error)
    return printable(said, LONGEST_REASON)
