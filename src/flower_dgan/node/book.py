"""The book of a machine's owner: what was done with each image, in whatever training, under whatever name.

An image is known by the hash of its decoded pixels. So counts outlive trainings, servers, restarts, and copies of the
data; renaming, reordering or adding files resets none of them. All nodes of one user of a machine share a book.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_state_path

from flower_dgan.errors import FederationError, StorageError
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
CREATE TABLE IF NOT EXISTS moments (
    images BLOB NOT NULL, size INTEGER NOT NULL, windows INTEGER NOT NULL, PRIMARY KEY (images, size)
);
CREATE TABLE IF NOT EXISTS used (identity TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS spent (
    subject BLOB PRIMARY KEY, squares REAL NOT NULL, releases INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS released (request BLOB PRIMARY KEY, answer BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ledgers (node TEXT PRIMARY KEY, lines INTEGER NOT NULL, hash TEXT NOT NULL);
"""
_PATIENCE = 60.0  # seconds that another process may write


class Book:
    """A file that this user alone can read; every change is on the disk when its method returns.

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

    def begin(self, identity: str, node: str, seed: int, images: NDArray[np.uint8]) -> int:
        """Note that a training begins with these images; return how many of that seed began at this node before.

        The node's draws follow from that number too: a server that begins a training once more under the same seed
        meets other batches and another discriminator.

        Parameters
        ----------
        identity : str
            Of the training.
        node : str
            What the node is called by its owner.
        seed : int
            Of the training.
        images : uint8 array (images, 32)
            Hashes of their pixels.

        Raises
        ------
        StorageError
            If the book cannot be read or written.
        """
        with self.changing() as rows:
            of_seed = "SELECT COUNT(*) FROM trainings WHERE node = ? AND seed = ?"
            (before,) = rows.execute(of_seed, (node, str(seed))).fetchone()
            rows.execute("INSERT INTO trainings VALUES (?, ?, ?, ?)", (identity, node, str(seed), time.time()))
            rows.executemany(
                "INSERT INTO images (pixels, trainings) VALUES (?, 1) "
                "ON CONFLICT (pixels) DO UPDATE SET trainings = trainings + 1",
                [(each,) for each in {image.tobytes() for image in images}],
            )
        return int(before)

    def keep_to_windows(self, images: NDArray[np.uint8], size: int, windows: int) -> None:
        """Let moments of these images be of so many windows in every training, as they were in the first.

        Moments of two sets of windows that differ by one tell of that one, in two trainings as in one.

        Parameters
        ----------
        images : uint8 array (images, 32)
            Hashes of their pixels, in any order.
        size : int
            Side of a window in pixels.
        windows : int
            How many are asked for.

        Raises
        ------
        FederationError
            If others were asked for before.
        StorageError
            As :meth:`begin`.
        """
        which = hashlib.sha256(b"".join(sorted(image.tobytes() for image in images))).digest()
        with self.changing() as rows:
            rows.execute("INSERT OR IGNORE INTO moments VALUES (?, ?, ?)", (which, size, windows))
            read = "SELECT windows FROM moments WHERE images = ? AND size = ?"
            (first,) = rows.execute(read, (which, size)).fetchone()
        if first != windows:
            raise FederationError(
                f"Moments of these images were of {first} windows in another training, and {windows} are asked for: "
                f"set downstream.dist_fid={first}."
            )

    def most_trainings(self, images: NDArray[np.uint8]) -> int:
        """Return in how many trainings the image was that was in most; raises StorageError as above."""
        with self.changing() as rows:
            found = [_row(rows, image.tobytes())[2] for image in images]
        return max(found, default=0)

    @contextmanager
    def counting(
        self, images: NDArray[np.uint8], asked: NDArray[np.int64], drawn: NDArray[np.int64]
    ) -> Iterator[NDArray[np.int64]]:
        """Give the counts with a bundle's, and note them if the body raises nothing.

        Parameters
        ----------
        images : uint8 array (images, 32)
            Hashes of the node's images. Two with the same pixels have one count.
        asked, drawn : int64 array
            Which of them the bundle asks about, and which the node draws for it; as often as it does.

        Yields
        ------
        int64 array (2, images)
            How often each was asked about, and drawn, in all trainings. Only of those that the bundle touches: the
            others are 0.

        Raises
        ------
        StorageError
            As :meth:`begin`.
        """
        counts = np.zeros((2, len(images)), np.int64)
        touched = np.unique(np.concatenate([asked, drawn]))
        with self.changing() as rows:
            added: dict[bytes, NDArray[np.int64]] = {}
            for row, each in enumerate((asked, drawn)):
                for index, times in enumerate(np.bincount(each, minlength=len(images)).tolist()):
                    if times:
                        added.setdefault(images[index].tobytes(), np.zeros(2, np.int64))[row] += times
            after = {pixels: np.array(_row(rows, pixels)[:2]) + more for pixels, more in added.items()}
            for index in touched.tolist():
                counts[:, index] = after[images[index].tobytes()]
            yield counts
            rows.executemany(
                "INSERT INTO images (asked, drawn, pixels) VALUES (?, ?, ?) "
                "ON CONFLICT (pixels) DO UPDATE SET asked = excluded.asked, drawn = excluded.drawn",
                [(*map(int, both), pixels) for pixels, both in after.items()],
            )

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Give the rows while no other process changes them; what the body did is kept if it raises nothing."""
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
            raise StorageError(
                f"The book of this node's owner in {self.path} cannot be read or written: {error}. It holds what was "
                "done with each image, so the node answers nothing without it: free space there, or put back a copy."
            ) from error


def _row(rows: sqlite3.Connection, pixels: bytes) -> tuple[int, int, int]:
    found = rows.execute("SELECT asked, drawn, trainings FROM images WHERE pixels = ?", (pixels,)).fetchone()
    return found or (0, 0, 0)
