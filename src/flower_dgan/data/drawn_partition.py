"""Partitions that share the pairs among any number of clients."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flower_dgan.config import PartitionConfig
from flower_dgan.data import flower_partitioners
from flower_dgan.data.flower_partitioners import Parts
from flower_dgan.data.pairs import Entry, Source
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.randomness import derive_seed


def draw(source: Source, config: PartitionConfig, clients: int, seed: int) -> Parts:
    """Share the training pairs among ``clients``, at most as many as there are pairs; see ``partition``."""
    labels = [entry.label for entry in source.train]
    if config.name == "shards":
        return by_shard(labels, clients, config.shards_per_client, seed)
    if config.name == "dirichlet":
        return flower_partitioners.dirichlet(labels, clients, config.alpha, config.min_pairs, seed)
    if config.name == "pathological":
        if config.classes_per_client > len(set(labels)):
            raise ConfigError(
                f"partition.classes_per_client={config.classes_per_client}, but the training pairs have "
                f"{len(set(labels))} labels: set as many or fewer."
            )
        return flower_partitioners.pathological(labels, clients, config.classes_per_client, seed)
    if config.name == "size":
        return by_size(zipf_sizes(len(labels), clients, config.exponent), seed)
    if config.name == "foreground":
        return by_foreground(foreground_shares(source, source.train), clients, seed)
    return iid(len(labels), clients, seed)


def by_client(client_of: Sequence[int | None], clients: int) -> Parts:
    """Give each pair to its client 0 .. ``clients`` - 1, and those of None to nobody."""
    parts: Parts = [[] for _ in range(clients)]
    for index, client in enumerate(client_of):
        if client is not None:
            parts[client].append(index)
    return parts


def iid(pairs: int, clients: int, seed: int) -> Parts:
    """Divide the pairs into random parts whose sizes differ by one at most."""
    return [sorted(part.tolist()) for part in np.array_split(_shuffled(pairs, seed), clients)]


def by_size(sizes: Sequence[int], seed: int) -> Parts:
    """Divide all pairs into random parts of these sizes."""
    ends = np.cumsum(sizes)
    return [sorted(part.tolist()) for part in np.split(_shuffled(int(ends[-1]), seed), ends[:-1])]


def by_shard(labels: Sequence[int], clients: int, shards_per_client: int, seed: int) -> Parts:
    """Cut the pairs in the order of their labels into equal shards, and deal them out at random.

    All pairs are used, and shards differ by one pair at most; Flower Datasets' ``ShardPartitioner`` leaves out what
    does not divide evenly, up to half of the pairs where shards are small.

    Raises
    ------
    FederationError
        If there are more shards than pairs.
    """
    shards = clients * shards_per_client
    if shards > len(labels):
        raise FederationError(
            f"{clients} clients with partition.shards_per_client={shards_per_client} need {shards} training pairs, and "
            f"there are {len(labels)}: set fewer of either."
        )
    owners = np.random.default_rng(derive_seed(seed, "partition")).permutation(np.arange(shards) % clients)
    return _deal(np.array_split(_ranked(labels, seed), shards), owners.tolist())


def by_foreground(shares: Sequence[float], clients: int, seed: int) -> Parts:
    """Cut the pairs in the order of these shares into equal parts; the seed orders pairs of equal share."""
    return _deal(np.array_split(_ranked(shares, seed), clients), range(clients))


def zipf_sizes(pairs: int, clients: int, exponent: float) -> list[int]:
    """Return sizes proportional to ``(k + 1) ** -exponent`` that add up to ``pairs``, by the largest remainders.

    Raises
    ------
    FederationError
        If a client would have no pair.
    """
    weights = np.arange(1, clients + 1, dtype=float) ** -exponent
    exact = pairs * weights / weights.sum()
    sizes = np.floor(exact).astype(int)
    sizes[np.argsort(sizes - exact, kind="stable")[: pairs - sizes.sum()]] += 1
    if sizes.min() < 1:
        raise FederationError(
            f"partition.exponent={exponent} leaves the smallest of {clients} clients {exact.min():.2g} of {pairs} "
            "pairs: set a smaller one, or fewer clients."
        )
    return [int(size) for size in sizes]


def foreground_shares(source: Source, entries: Sequence[Entry]) -> list[float]:
    """Return the share of pixels that are not background, in [0, 1], of each pair; one is in memory at a time."""
    return [float(np.mean(source.load([entry]).label_maps[0] > 0)) for entry in entries]


def _ranked(keys: Sequence[float], seed: int) -> NDArray[np.intp]:
    """Return the numbers of the pairs in the order of their keys, those of equal keys at random."""
    shuffled = _shuffled(len(keys), seed)
    return shuffled[np.argsort(np.asarray(keys)[shuffled], kind="stable")]


def _shuffled(pairs: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng(seed).permutation(pairs)


def _deal(runs: Sequence[NDArray[np.intp]], owners: Sequence[int]) -> Parts:
    """Give each run of pairs to its client."""
    client_of = {int(index): client for run, client in zip(runs, owners, strict=True) for index in run}
    return by_client([client_of[index] for index in range(len(client_of))], len(set(owners)))
