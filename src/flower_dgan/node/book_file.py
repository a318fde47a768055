"""The file of an owner's book: its tables, who may change them when, and what becomes of one that is lost."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from platformdirs import user_state_path

from flower_dgan.errors import StorageError
from flower_dgan.private import private_directory

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    pixels BLOB PRIMARY KEY, asked INTEGER NOT NULL DEFAULT 0, drawn INTEGER NOT NULL DEFAULT 0,
    trainings INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trainings (
    identity TEXT NOT NULL, node TEXT NOT NULL, seed TEXT NOT NULL, begun REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS approvals (
    settings TEXT NOT NULL, identity TEXT NOT NULL, state TEXT NOT NULL, since REAL NOT NULL, description TEXT NOT NULL,
    PRIMARY KEY (settings, identity)
);
CREATE TABLE IF NOT EXISTS blocked (settings TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS moments_of (
    pixels BLOB PRIMARY KEY, images BLOB NOT NULL, size INTEGER NOT NULL, windows INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (token TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS rounds (
    token TEXT PRIMARY KEY, round INTEGER NOT NULL, bundle TEXT NOT NULL, returns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS begun_anew (first INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS used (identity TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS released (request BLOB PRIMARY KEY, squares REAL NOT NULL, answer BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sum_keys (
    purpose BLOB NOT NULL, node TEXT NOT NULL, public BLOB NOT NULL, private BLOB, roster BLOB,
    PRIMARY KEY (purpose, node)
);
CREATE TABLE IF NOT EXISTS steps (
    sigma REAL NOT NULL, share REAL NOT NULL, steps INTEGER NOT NULL, PRIMARY KEY (sigma, share)
);
CREATE TABLE IF NOT EXISTS warned (what TEXT NOT NULL, allowed REAL NOT NULL, PRIMARY KEY (what, allowed));
CREATE TABLE IF NOT EXISTS ledgers (node TEXT PRIMARY KEY, lines INTEGER NOT NULL, hash TEXT NOT NULL);
"""
_PATIENCE = 60.0  # seconds that another process may write
_TRACES = ("ledger/*.jsonl", "secrets/*", "clients/*/*/hashes.npy")  # which only a node with an owner leaves

PUT_BACK = (
    "put the newest one back, or run `flower-dgan policy new-book`, after which nobody knows any more how often each "
    "image was used before, and how much of patients' privacy was spent."
)
"""What to do about a book that was lost."""


class BookFile:
    """A file that this user alone can read; every change is on the disk when its method returns.

    It is made on first use; where nodes of this user have left something beside it, it was lost, and is not.

    Parameters
    ----------
    path : Path or None
        The file, made where it is missing; None for ``book.sqlite`` in the user's state directory.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = user_state_path("flower-dgan") / "book.sqlite" if path is None else path

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Give the rows as they are, and None where there is no book; makes and changes no file."""
        if not self.path.is_file() or not self.path.stat().st_size:
            yield None
            return
        try:
            with closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", timeout=_PATIENCE, uri=True)
            ) as rows:
                yield rows
        except (sqlite3.Error, OSError) as error:
            raise self._unreadable(error) from error

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Give the rows while no other process changes them; what the body did is kept if it raises nothing."""
        if (trace := self._lost()) is not None:
            raise StorageError(
                f"The book of this node's owner in {self.path} is missing, and {trace} says that there was one. It "
                f"holds what was done with each image, so the node answers nothing without it: {PUT_BACK}"
            )
        yield from self._changing()

    def begin_anew(self) -> None:
        """Let a book that was lost be replaced by one that knows nothing, or by an older one that was put back."""
        with contextmanager(self._changing)() as rows:
            rows.execute("INSERT INTO begun_anew VALUES (?)", (secrets.randbits(48),))
            rows.execute("DELETE FROM sum_keys")  # an older book does not know what was sent behind their masks

    def _lost(self) -> Path | None:
        """Return what says that there was a book, where there is none."""
        if self.path.is_file() and self.path.stat().st_size:
            return None
        return next(
            (each for pattern in _TRACES for each in self.path.parent.glob(pattern) if each.stat().st_size), None
        )

    def _changing(self) -> Iterator[sqlite3.Connection]:
        try:
            private_directory(self.path.parent)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self.path.chmod(0o600)
            with closing(sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)) as rows:
                rows.execute("PRAGMA synchronous = EXTRA")
                rows.executescript(_TABLES)
                rows.execute("BEGIN IMMEDIATE")
                yield rows
                rows.execute("COMMIT")  # closing without it takes everything back
        except (sqlite3.Error, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> StorageError:
        return StorageError(
            f"The book of this node's owner in {self.path} cannot be read or written: {error}. It holds what was done "
            "with each image, so the node answers nothing without it: free space there, and let its user write. If it "
            f"is damaged, move it away: {PUT_BACK}"
        )
