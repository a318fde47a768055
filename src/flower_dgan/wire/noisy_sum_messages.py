"""The messages of a release with noise: the server asks by the training's settings, and a node sends one sum."""

from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.errors import ProtocolError
from flower_dgan.wire.protocol import PROTOCOL_VERSION, check_version
from flower_dgan.wire.records import check_names, read_array

NOISY_SUM = "query.noisy_sum"
RECORD, ASKED = "noisy-sum", "request"

_LARGEST = 2**50  # steps: 17 billion patients


@dataclass(frozen=True)
class NoisySumAnswer:
    """A node's answer to ``query.noisy_sum``, which says only of which training it is.

    Attributes
    ----------
    steps : int64 array (classes, features + 1)
        In steps of :data:`flower_dgan.privacy.noise.GRID`.
    """

    steps: NDArray[np.int64]

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values = ConfigRecord({"protocol-version": PROTOCOL_VERSION})
        return RecordDict({"answer": values, RECORD: ArrayRecord({"steps": Array(self.steps)})})

    @classmethod
    def from_records(cls, content: RecordDict, shape: tuple[int, int]) -> "NoisySumAnswer":
        """Read the message, with a sum of this shape; raises ProtocolError."""
        check_version(content, "answer")
        check_names(content, {"answer": (ConfigRecord, {"protocol-version"}), RECORD: (ArrayRecord, {"steps"})})
        steps = read_array(content.array_records[RECORD]["steps"], "int64", shape).astype(np.int64)
        if steps.max() > _LARGEST or steps.min() < -_LARGEST:  # the least int64 has no absolute value
            raise ProtocolError(f"a sum with entries beyond {_LARGEST}")
        return cls(steps)
