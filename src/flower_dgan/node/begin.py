"""Whether a node may begin a training, by what its images and its disk have seen of others."""

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data import Pairs
from flower_dgan.node.book import Book
from flower_dgan.node.kept_pairs import hashes
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.state import ClientState
from flower_dgan.wire.protocol import Training


def begin_training(
    policy: ReleasePolicy, training: Training, state: ClientState, pairs: Pairs, seed: int
) -> tuple[int, NDArray[np.uint8]]:
    """Note in the owner's book that a training begins.

    Parameters
    ----------
    policy : ReleasePolicy
        The owner's.
    training : Training
        Which training.
    state : ClientState
        The node's directory of it.
    pairs : Pairs
        The real pairs that it trains on.
    seed : int
        Of the training.

    Returns
    -------
    repeat : int
        How many trainings of that seed the node was in before.
    images : uint8 array (images, 32)
        Hashes of the images' pixels.

    Raises
    ------
    PolicyError
        If an image is in too many trainings, the node keeps too many, or has too few different images.
    StorageError
        If the book cannot be read or written.
    """
    book, images = Book(), hashes(pairs)
    policy.check_distinct(images)
    if policy.trainings is not None:
        policy.check_trainings(book.most_trainings(images) + 1, 0)
    policy.check_trainings(0, state.kept_beside() + 1)
    return book.begin(training.identity, state.node, seed, images), images
