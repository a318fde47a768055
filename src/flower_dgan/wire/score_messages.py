"""The messages of the choice of a generator: a network of the task to a node, its score on validation images back."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.errors import DataError, ProtocolError
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.records import check_names, read_array, read_value

SCORE = "query.score"
NETWORK = "task-network"

PARTS = 100
"""A score leaves a node as a whole number of hundredths: Dice 0.6549 is 65, and says no more of single images."""

LARGEST = 10**9
"""No metric of images has as many hundredths."""


@dataclass(frozen=True)
class ScoreRequest:
    """The server asks a node what a network is worth that learned from synthetic images alone.

    Attributes
    ----------
    training : Training
        Which training the node has joined.
    round_number : int
        The round whose generator drew these images, from 1.
    network : float32 array (entries,)
        The model of ``downstream``, as :func:`~flower_dgan.wire.parameters.flatten` makes it.
    """

    training: Training
    round_number: int
    network: NDArray[np.float32]

    def digest(self) -> str:
        """Return a hash of what is asked: equal for a message that is sent again."""
        found = hashlib.sha256(str(self.round_number).encode())
        found.update(self.network.tobytes())
        return found.hexdigest()

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values = ConfigRecord({**self.training.values(), "round": self.round_number})
        return RecordDict({"score": values, NETWORK: ArrayRecord({"parameters": Array(self.network)})})

    @classmethod
    def from_records(cls, content: RecordDict, entries: int) -> "ScoreRequest":
        """Read the message, with a network of so many entries; raises ProtocolError."""
        training = Training.of(content, "score")
        check_names(
            content, {"score": (ConfigRecord, {*training.values(), "round"}), NETWORK: (ArrayRecord, {"parameters"})}
        )
        round_number = read_value(content.config_records["score"], "round", int)
        network = read_array(content.array_records[NETWORK]["parameters"], "float32", (entries,))
        return cls(training, round_number, network.astype(np.float32))


@dataclass(frozen=True)
class ScoreAnswer:
    """A node's answer to :class:`ScoreRequest`, and all that it tells of its validation images.

    Attributes
    ----------
    hundredths : int
        The first of ``downstream.metrics``, in hundredths.
    """

    hundredths: int

    @classmethod
    def of(cls, value: float) -> "ScoreAnswer":
        """Round a figure to the nearest hundredth; raises DataError if it is not finite or too large to travel."""
        if not math.isfinite(value) or abs(value) * PARTS > LARGEST:
            raise DataError(f"A score of {value} on the validation images cannot leave this node.")
        return cls(round(value * PARTS))

    @property
    def value(self) -> float:
        """The rounded figure."""
        return self.hundredths / PARTS

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        return RecordDict({"validation-score": MetricRecord({"hundredths": self.hundredths})})

    @classmethod
    def from_records(cls, content: RecordDict) -> "ScoreAnswer":
        """Read the message; raises ProtocolError."""
        check_names(content, {"validation-score": (MetricRecord, {"hundredths"})})
        hundredths = read_value(content.metric_records["validation-score"], "hundredths", int)
        if abs(hundredths) > LARGEST:
            raise ProtocolError(f"a score of {hundredths} hundredths")
        return cls(hundredths)
