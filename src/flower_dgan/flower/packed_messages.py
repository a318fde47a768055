"""What is to be sent to many nodes, as bytes in one file of a disk rather than in memory, until it has arrived."""

import os
import tempfile
import weakref
from collections import deque
from pathlib import Path
from threading import Lock
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

    Room is taken where messages were that nobody needs any more, so that a training in which there is always one on its
    way does not fill the disk. Messages may be put and given up in several threads.

    Parameters
    ----------
    directory : Path or None
        Whose disk is used; None to keep all in memory.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._lock = Lock()
        self._given_up: deque[tuple[int, int]] = deque()  # start and size, of any thread, at any moment
        self._end = 0
        self._kept: set[int] = set()  # where those are that somebody needs
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
        with writing(self._directory / "messages"), self._lock:
            self._take_back()
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
            start = self._room(len(data))
            self._kept.add(start)
            left = memoryview(data)
            try:
                while left:
                    left = left[os.pwrite(self._file.fileno(), left, start + len(data) - len(left)) :]
            except OSError:
                self.release(start, len(data))
                raise
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
        """Give the room of a message to others; where there is none any more, to the disk.

        The garbage collector may call this at any moment, in the thread that puts a message too: then that takes the
        room back when it puts the next one.
        """
        self._given_up.append((start, size))
        if self._lock.acquire(blocking=False):
            try:
                self._take_back()
            finally:
                self._lock.release()

    def _take_back(self) -> None:
        if not self._given_up:
            return
        while self._given_up:
            start, size = self._given_up.popleft()
            self._kept.discard(start)
            self._free.append((start, size))
        self._free = _joined(self._free)
        if not self._kept and self._file is not None:
            self._free, self._end = [], 0
            os.ftruncate(self._file.fileno(), 0)


def _joined(free: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return pieces of a file, start and size, in their order, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, size in sorted(free):
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + size)
        else:
            joined.append((start, size))
    return joined


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
