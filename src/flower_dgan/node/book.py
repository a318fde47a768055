"""The book of a machine's owner: what was done with each image, in whatever training, under whatever name.

An image is known by the hash of its decoded pixels, as its file holds them. So counts outlive trainings, servers,
restarts, and copies of the data; renaming, reordering or adding files resets none of them, nor do the settings of a
training. All nodes that share a state directory share a book. Where it is lost, nodes answer nothing until their owner
begins another, see :mod:`flower_dgan.node.new_book`.
"""

import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
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


class Book:
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

    def begin(self, identity: str, node: str, seed: int) -> int:
        """Note that a training begins; return how many of that seed began at this node before.

        The node's draws follow from that number too: a server that begins a training once more under the same seed
        meets other batches and another discriminator. In a book that replaces a lost one it is no number that was
        returned before.

        Parameters
        ----------
        identity : str
            Of the training.
        node : str
            What the node is called by its owner.
        seed : int
            Of the training.

        Raises
        ------
        StorageError
            If the book cannot be read or written, or was lost.
        """
        with self.changing() as rows:
            of_seed = "SELECT COUNT(*) FROM trainings WHERE node = ? AND seed = ?"
            (before,) = rows.execute(of_seed, (node, str(seed))).fetchone()
            (first,) = rows.execute("SELECT COALESCE(MAX(first), 0) FROM begun_anew").fetchone()
            rows.execute("INSERT INTO trainings VALUES (?, ?, ?, ?)", (identity, node, str(seed), time.time()))
        return int(first) + int(before)

    def count_training(self, token: str, images: Callable[[], NDArray[np.uint8]], check: Callable[[int], None]) -> None:
        """Count a training of a node's images, once: when something of them leaves that is more than a join.

        Parameters
        ----------
        token : str
            That of the node in the training, which it has anew after it left.
        images : callable
            Returns the hashes of their pixels, uint8 (images, 32); asked where they were not counted.
        check : callable
            Told in how many trainings the image is that is in most, this one included; raises where that is too many.

        Raises
        ------
        StorageError
            As :meth:`begin`.
        """
        with self.changing() as rows:
            if rows.execute("SELECT 1 FROM counted WHERE token = ?", (token,)).fetchone():
                return
            found = {image.tobytes() for image in images()}
            check(1 + max((_row(rows, image)[2] for image in found), default=0))
            rows.execute("INSERT INTO counted VALUES (?)", (token,))
            rows.executemany(
                "INSERT INTO images (pixels, trainings) VALUES (?, 1) "
                "ON CONFLICT (pixels) DO UPDATE SET trainings = trainings + 1",
                [(each,) for each in found],
            )

    def keep_to_windows(self, images: NDArray[np.uint8], size: int, windows: int) -> None:
        """Let moments of each of these images be of the same windows of the same images in every training.

        Moments of two sets of windows that differ by one tell of that one, in two trainings as in one; and those of two
        sets of images tell of the images that are in one of them alone.

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
        pixels = sorted(image.tobytes() for image in images)
        asked = (hashlib.sha256(b"".join(pixels)).digest(), size, windows)
        with self.changing() as rows:
            read = "SELECT images, size, windows FROM moments_of WHERE pixels = ?"
            for image in pixels:
                first = rows.execute(read, (image,)).fetchone() or asked
                if first[0] != asked[0]:
                    raise FederationError(
                        "Moments of some of these images were given together with others, or without these: the two "
                        "together would tell of single ones. Hold the same images out as in the first training."
                    )
                if first != asked:
                    raise FederationError(
                        f"Moments of these images were of {first[2]} windows of {first[1]} pixels in another training, "
                        f"and {windows} of {size} are asked for: set downstream.dist_fid={first[2]} and "
                        f"data.image_size={first[1]}."
                    )
            rows.executemany(
                "INSERT OR IGNORE INTO moments_of VALUES (?, ?, ?, ?)", [(each, *asked) for each in pixels]
            )

    def most_trainings(self, images: NDArray[np.uint8]) -> int:
        """Return in how many trainings the image was that was in most; raises StorageError as above."""
        with self.changing() as rows:
            found = [_row(rows, image.tobytes())[2] for image in images]
        return max(found, default=0)

    def most_used(self) -> tuple[int, int, int, int]:
        """Return how many images there are, and how often one was asked about, drawn and in a training at most."""
        with self.reading() as rows:
            read = "SELECT COUNT(*), MAX(asked), MAX(drawn), MAX(trainings) FROM images"
            found = (0, 0, 0, 0) if rows is None else rows.execute(read).fetchone()
        count, asked, drawn, trainings = (int(each or 0) for each in found)
        return count, asked, drawn, trainings

    def last_round(self, token: str) -> tuple[int, str, int] | None:
        """Return the round that a node answered last in a training, the hash of its bundle, and how often it went back.

        ``token`` is as for :meth:`count_training`; None where it answered none. The node's directory says so too, but
        may have been put back as it was before.
        """
        with self.changing() as rows:
            read = "SELECT round, bundle, returns FROM rounds WHERE token = ?"
            found: tuple[int, str, int] | None = rows.execute(read, (token,)).fetchone()
        return found

    @contextmanager
    def counting(
        self,
        images: NDArray[np.uint8],
        asked: NDArray[np.int64],
        drawn: NDArray[np.int64],
        about: tuple[str, int, str, int] | None = None,
    ) -> Iterator[NDArray[np.int64]]:
        """Give the counts with a bundle's, and note them if the body raises nothing.

        Parameters
        ----------
        images : uint8 array (images, 32)
            Hashes of the node's images. Two with the same pixels have one count.
        asked, drawn : int64 array
            Which of them the bundle asks about, and which the node draws for it; as often as it does.
        about : tuple or None
            What :meth:`last_round` is to return from then on, the token before it.

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
            if about is not None:
                rows.execute("INSERT OR REPLACE INTO rounds VALUES (?, ?, ?, ?)", about)

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


def _row(rows: sqlite3.Connection, pixels: bytes) -> tuple[int, int, int]:
    found = rows.execute("SELECT asked, drawn, trainings FROM images WHERE pixels = ?", (pixels,)).fetchone()
    return found or (0, 0, 0)
