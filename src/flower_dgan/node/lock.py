"""The lock of a node's directory, which also tells what is in memory whether the directory went on without it.

The file holds a nonce, and stays open and mapped into memory while a session lives, so that looking at it opens no file
and reads none. Whoever writes into the directory changes the nonce first: a process that dies amid its writing leaves
no session in another one that takes itself for up to date.
"""

import fcntl
import mmap
import os
import secrets
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NONCE_BYTES = 16


class StoreLock:
    """The lock of one directory; of several that a process has of the same one, each excludes the others.

    Parameters
    ----------
    path : Path
        The file; made where it is missing. Raises FileNotFoundError where its directory is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        weakref.finalize(self, os.close, self._descriptor).atexit = False
        # flock lets a second thread in that comes by the same open file
        self._threads = threading.Lock()
        self._mapped: mmap.mmap | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait until no other thread or process has the lock, and have it inside."""
        with self._threads:
            owner = os.getpid()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                if os.getpid() == owner:  # a child that was forked inside shares the open file, and must not let go
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def in_place(self) -> bool:
        """Return whether the directory still has this file, and not none, or another one since somebody left it."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def nonce(self) -> bytes:
        """Return the nonce of the last write; to be called while the lock is held."""
        if self._mapped is None:
            if os.fstat(self._descriptor).st_size < _NONCE_BYTES:
                self.renew()
            self._mapped = mmap.mmap(self._descriptor, _NONCE_BYTES, prot=mmap.PROT_READ)
        return bytes(self._mapped[:])

    def renew(self) -> bytes:
        """Change the nonce, before anything is written into the directory, and return the new one.

        To be called while the lock is held. Raises OSError if the disk is full: a write through the mapped memory would
        end the process by a signal.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        os.pwrite(self._descriptor, nonce, 0)
        return nonce
