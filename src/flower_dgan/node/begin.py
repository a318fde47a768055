"""Whether a node may begin a training, by what its images and its disk have seen of others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flower_dgan.node.book import Book
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.state import ClientState
from flower_dgan.wire.protocol import Training


def begin_training(
    policy: ReleasePolicy,
    training: Training,
    state: ClientState,
    images: Sequence[NDArray[np.uint8]],
    seed: int,
    *,
    by_noise: bool = False,
) -> tuple[int, NDArray[np.uint8], NDArray[np.uint8]]:
    """Note in the owner's book that a training begins; it is counted once something leaves, by :func:`count_training`.

    Parameters
    ----------
    policy : ReleasePolicy
        The owner's.
    training : Training
        Which training.
    state : ClientState
        The node's directory of it.
    images : sequence of two uint8 arrays (images, 32)
        Hashes of the images that it trains on, and of those that are held out for validation.
    seed : int
        Of the training.
    by_noise : bool
        Whether noise alone bounds what leaves: then no image is looked at, as a refusal would tell of it.

    Returns
    -------
    repeat : int
        How many trainings of that seed the node was in before.
    images, held : uint8 arrays (images, 32)
        The hashes.

    Raises
    ------
    PolicyError
        If an image is in too many trainings, or the node has too few different images.
    StorageError
        If the book cannot be read or written.
    """
    book, (own, held) = Book(), images
    if not by_noise:
        policy.check_distinct(own)
    if policy.trainings is not None and not by_noise:
        policy.check_trainings(book.most_trainings(np.concatenate([own, held])) + 1, 0)
    return book.begin(training.identity, state.node, seed), own, held


def count_training(policy: ReleasePolicy, state: ClientState) -> None:
    """Count a training of a node's images, once, before what is more than a join leaves.

    Raises
    ------
    PolicyError
        If an image would be in too many trainings.
    StorageError
        If the book cannot be read or written.
    """
    Book().count_training(state.token(), state.images, lambda number: policy.check_trainings(number, 0))
