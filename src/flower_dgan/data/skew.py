"""How differently the pairs of the clients are distributed."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def counts(clients: Sequence[Sequence[Hashable]], kinds: Sequence[Hashable]) -> NDArray[np.int64]:
    """Count the kinds of pairs that each client holds.

    Parameters
    ----------
    clients : sequence of sequence of hashable
        The kind of each pair of each client, such as its label.
    kinds : sequence of hashable
        All kinds, each once.

    Returns
    -------
    int64 array (clients, kinds)
    """
    number = {kind: index for index, kind in enumerate(kinds)}
    return np.stack([np.bincount([number[kind] for kind in own], minlength=len(kinds)) for own in clients])


def total_variation(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the total variation distance between the clients' distributions.

    With the share ``p_ic`` of kind ``c`` among the pairs of client ``i`` it is ``d_ij = sum_c |p_ic - p_jc| / 2``: the
    share of the pairs of one client that would have to be of another kind to have the other's distribution.

    Parameters
    ----------
    counts : int64 array (clients, kinds)
        Pairs, at least one a client.

    Returns
    -------
    float64 array (clients, clients)
        In [0, 1]: 0 for equal distributions, 1 for clients that have no kind in common.
    """
    shares = counts / counts.sum(axis=1, keepdims=True)
    return np.stack([np.abs(shares - own).sum(axis=1) / 2 for own in shares])


def mean_distance(distances: NDArray[np.float64]) -> float:
    """Return the mean over all pairs of different clients; 0 for one client."""
    clients = len(distances)
    return float(distances.sum() / (clients * (clients - 1))) if clients > 1 else 0.0
