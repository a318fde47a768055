"""How often each image of a node was used, held against its owner's policy."""

import numpy as np
from numpy.typing import NDArray

from flower_dgan.node.book import Book
from flower_dgan.node.policy import ReleasePolicy


class Counts:
    """The counts of one node's images in its owner's book.

    Parameters
    ----------
    book : Book
        The owner's.
    images : uint8 array (images, 32)
        Hashes of their pixels.
    token : str
        The node's in the training.
    """

    def __init__(self, book: Book, images: NDArray[np.uint8], token: str) -> None:
        self._book = book
        self._images = images
        self._token = token

    def returns(self, round_number: int, bundle: str, returns: int) -> int:
        """Return how often the node goes back for a bundle that its directory says is new, this time included.

        A directory that was put back as it was before some rounds knows nothing of them; the book does.

        Parameters
        ----------
        round_number : int
            Of the bundle.
        bundle : str
            Its hash.
        returns : int
            How often the node went back as far as its directory knows.

        Raises
        ------
        StorageError
            If the book cannot be read.
        """
        if (last := self._book.last_round(self._token)) is None:
            return returns
        number, of, before = last
        is_new = number < round_number or (number, of) == (round_number, bundle)  # the same, of which a process died
        return max(returns, before + (not is_new))

    def add(
        self,
        asked: NDArray[np.int64],
        drawn: NDArray[np.int64],
        policy: ReleasePolicy,
        about: tuple[int, str, int] | None = None,
    ) -> None:
        """Add the images of a bundle.

        Parameters
        ----------
        asked, drawn : int64 array
            Indices of the images that it asks about, and that the node draws for it.
        policy : ReleasePolicy
            How often either may be.
        about : tuple or None
            Round and hash of the bundle, and how often the node went back.

        Raises
        ------
        PolicyError
            If one of them would be used too often. Nothing is counted then.
        StorageError
            If the book cannot be written.
        """
        noted = None if about is None else (self._token, *about)
        with self._book.counting(self._images, asked, drawn, noted) as counts:
            policy.check_queries(counts)
