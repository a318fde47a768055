"""The book of a machine's owner: what was done with each image, in whatever training, under whatever name.

An image is known by the hash of its decoded pixels, as its file holds them. So counts outlive trainings, servers,
restarts, and copies of the data; renaming, reordering or adding files resets none of them, nor do the settings of a
training. All nodes that share a state directory share a book. Where it is lost, nodes answer nothing until their owner
begins another, see :mod:`flower_dgan.node.new_book`.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from flower_dgan.errors import FederationError
from flower_dgan.node.book_file import BookFile


class Book(BookFile):
    """What was done with each image; parameters and attributes are those of the file."""

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


def _row(rows: sqlite3.Connection, pixels: bytes) -> tuple[int, int, int]:
    found = rows.execute("SELECT asked, drawn, trainings FROM images WHERE pixels = ?", (pixels,)).fetchone()
    return found or (0, 0, 0)
