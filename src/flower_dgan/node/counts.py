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
    """

    def __init__(self, book: Book, images: NDArray[np.uint8]) -> None:
        self._book = book
        self._images = images

    def add(self, asked: NDArray[np.int64], drawn: NDArray[np.int64], policy: ReleasePolicy) -> None:
        """Add the images of a bundle.

        Parameters
        ----------
        asked, drawn : int64 array
            Indices of the images that it asks about, and that the node draws for it.
        policy : ReleasePolicy
            How often either may be.

        Raises
        ------
        PolicyError
            If one of them would be used too often. Nothing is counted then.
        StorageError
            If the book cannot be written.
        """
        with self._book.counting(self._images, asked, drawn) as counts:
            policy.check_queries(counts)
