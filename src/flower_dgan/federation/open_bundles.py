"""Bundles that were sent since the last checkpoint, on disk: a server that goes on sends them again, byte for byte.

It would draw the same ones anew from its checkpoint, but for the last bits, which follow from the machine, from a GPU's
order of additions, from versions. To a node that is another bundle: a going back, which its owner counts and limits,
and where there is a budget, steps that are charged for anew. What is sent again instead gets the stored answer.

What was drawn anew stays what the server steps its generator on: class, label map, noise and site are the same, and the
images are as near to those that were sent as their rounding.
"""

import hashlib
import logging
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from flwr.app import Array, RecordDict
from numpy.typing import NDArray

from flower_dgan.errors import StorageError
from flower_dgan.private import private_directory
from flower_dgan.whole_file import whole_file, writing
from flower_dgan.wire.packing import pack_content, unpack_content

logger = logging.getLogger("flwr")

MOST_BYTES = 2**28
"""Of bundles on disk, from where on a checkpoint is due that makes them superfluous."""

_NEAR = 0.02
"""How far images or weights may have moved, as a share of their length, to be the same but for rounding."""
_DIGEST_BYTES = 32


class OpenBundles:
    """Those of one training, in a directory.

    Parameters
    ----------
    directory : Path
        Made when there is something to keep.
    training : str
        Identity of the training.

    Attributes
    ----------
    bytes : int
        Of those that are kept, about.
    """

    def __init__(self, directory: Path, training: str) -> None:
        self._directory = directory
        self._training = training
        self._full = False
        self.bytes = 0

    def send(self, round_number: int, name: str, drawn: RecordDict) -> RecordDict:
        """Return what a client is sent in a round: what it was sent before, if that is the same bundle, or what is new.

        What is new is kept; a disk that takes no more ends nothing, and is told of once.

        Parameters
        ----------
        round_number : int
            Which round.
        name : str
            The client's.
        drawn : RecordDict
            The message as it was drawn now.
        """
        file = self._file(round_number, name)
        if (before := self._read(file, round_number, name)) is not None and self._is_the_same(before, drawn):
            before["bundle"] = drawn["bundle"]  # whose attempt it is, and what the server has of the node now
            return before
        data = pack_content(drawn)
        try:
            with writing(self._directory):
                private_directory(self._directory)
            with whole_file(file, private=True, durable=False) as partial:  # verified when it is read
                partial.write_bytes(_digest(self._training, round_number, name, data) + data)
            self.bytes += len(data)
        except StorageError as error:
            if not self._full:
                logger.warning("A server that goes on could not send its last bundles again as they were: %s", error)
            self._full = True
        return drawn

    def forget(self, round_number: int) -> None:
        """Delete those of rounds up to this one, as a checkpoint holds what was learned from them."""
        for file in self._directory.glob("*.bin"):
            number = file.stem.partition("-")[0]
            if number.isdecimal() and int(number) <= round_number:
                file.unlink(missing_ok=True)
        left = [file.stat().st_size for file in self._directory.glob("*.bin")]
        self.bytes = sum(left)
        if not left:
            with suppress(OSError):  # it is not there, or something else lies in it
                self._directory.rmdir()

    def _read(self, file: Path, round_number: int, name: str) -> RecordDict | None:
        """Return what a client was sent; None where that is not kept, or damaged."""
        if not file.is_file():
            return None
        data = file.read_bytes()
        digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        return unpack_content(data) if digest == _digest(self._training, round_number, name, data) else None

    def _file(self, round_number: int, name: str) -> Path:
        return self._directory / f"{round_number:08d}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.bin"

    @staticmethod
    def _is_the_same(before: RecordDict, drawn: RecordDict) -> bool:
        """Return whether two messages differ in nothing but the last bits of what networks made."""
        wants = "return-weights"
        if set(before) != set(drawn) or before["bundle"][wants] != drawn["bundle"][wants]:
            return False
        for name, record in drawn.array_records.items():
            theirs = before.array_records[name]
            if set(theirs) != set(record):
                return False
            for key, array in record.items():
                exact = name == "views" or key == "label-maps"
                if not (theirs[key].data == array.data if exact else _is_near(theirs[key], array)):
                    return False
        return True


def _is_near(before: Array, drawn: Array) -> bool:
    if before.data == drawn.data:
        return True
    one, other = _values(before), _values(drawn)
    return one.shape == other.shape and bool(np.linalg.norm(one - other) <= _NEAR * np.linalg.norm(one))


def _values(array: Array) -> NDArray[np.float64]:
    """Return images or weights as they were before they were packed, one after the other; black is 0."""
    values = array.numpy().ravel()
    if values.dtype == np.uint8:
        values = np.frombuffer(zlib.decompress(values.tobytes()), np.uint8)
    return values.astype(np.float64)


def _digest(training: str, round_number: int, name: str, data: bytes) -> bytes:
    return hashlib.sha256(f"{training}/{round_number}/{name}/".encode() + data).digest()
