"""What is to be sent to many nodes, as bytes in one file of a disk rather than in memory, until it has arrived."""

import os
import tempfile
import weakref
from pathlib import Path
from typing import IO

from flower_dgan.whole_file import writing


class Packed:
    """The bytes of one message; their room is another's when nobody has this any more.

    Parameters
    ----------
    place : PackedMessages
        Where they are kept.
    start, size : int
        Which bytes of the file.
    """

    def __init__(self, place: "PackedMessages", start: int, size: int) -> None:
        self._place, self._start, self._size = place, start, size
        weakref.finalize(self, place.release, start, size).atexit = False

    def read(self, part: slice = slice(None)) -> bytes:
        """Return some of the bytes, or all."""
        start, stop, _ = part.indices(self._size)
        return self._place.read(self._start + start, stop - start)


class PackedMessages:
    """A file that nobody else can open and that ends with the process.

    Room is taken where a message of that size or a larger one was, so that rounds of equal messages need no more than
    the largest of them.

    Parameters
    ----------
    directory : Path or None
        Whose disk is used; None to keep all in memory.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._end = self._used = 0
        self._free: list[tuple[int, int]] = []  # start and size

    def put(self, data: bytes) -> "Packed | Held":
        """Keep bytes until nobody has what is returned any more.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        if self._directory is None:
            return Held(data)
        with writing(self._directory / "messages"):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
            start = self._room(len(data))
            left = memoryview(data)
            try:
                while left:
                    left = left[os.pwrite(self._file.fileno(), left, start + len(data) - len(left)) :]
            except OSError:
                self._free.append((start, len(data)))
                raise
        self._used += 1
        return Packed(self, start, len(data))

    def _room(self, size: int) -> int:
        for index, (start, free) in enumerate(self._free):
            if free >= size:
                self._free[index : index + 1] = [(start + size, free - size)] if free > size else []
                return start
        start, self._end = self._end, self._end + size
        return start

    def read(self, start: int, size: int) -> bytes:
        """Return bytes of the file."""
        assert self._file is not None
        return os.pread(self._file.fileno(), size, start)

    def release(self, start: int, size: int) -> None:
        """Give the room of a message to others; where there is none any more, to the disk."""
        self._used -= 1
        self._free.append((start, size))
        if not self._used and self._file is not None:
            self._free, self._end = [], 0
            os.ftruncate(self._file.fileno(), 0)


class Held:
    """Bytes in memory, as :class:`Packed` has them in a file.

    Parameters
    ----------
    data : bytes
        The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, part: slice = slice(None)) -> bytes:
        """Return some of the bytes, or all."""
        return self._data[part]
