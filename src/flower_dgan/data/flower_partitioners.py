"""The partitioners of Flower Datasets, on the numbers of the pairs: 0 .. n - 1.

Imported where they are called: Flower Datasets brings pyarrow and pandas, which takes seconds and is for simulations
only.
"""

import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any

from flower_dgan.errors import FederationError
from flower_dgan.randomness import derive_seed

if TYPE_CHECKING:
    from flwr_datasets.partitioner import Partitioner  # type: ignore[import-untyped]

Parts = list[list[int]]
"""The numbers of the pairs of each client, in ascending order."""


def by_client(client_of: Sequence[int | None], clients: int) -> Parts:
    """Give each pair to its client 0 .. ``clients`` - 1, and those of None to nobody; each client has one at least."""
    from flwr_datasets.partitioner import NaturalIdPartitioner

    used = [index for index, client in enumerate(client_of) if client is not None]
    columns = {"index": used, "client": [client_of[index] for index in used]}
    return _load(NaturalIdPartitioner("client"), columns, clients)


def iid(pairs: int, clients: int, seed: int) -> Parts:
    """Divide the pairs into random parts of equal size."""
    from flwr_datasets.partitioner import IidPartitioner

    return _load(IidPartitioner(clients), {"index": range(pairs)}, clients, seed)


def by_size(sizes: Sequence[int], seed: int) -> Parts:
    """Divide all pairs into random parts of these sizes."""
    from flwr_datasets.partitioner import SizePartitioner

    return _load(SizePartitioner(sizes), {"index": range(sum(sizes))}, len(sizes), seed)


def dirichlet(labels: Sequence[int], clients: int, alpha: float, min_pairs: int, seed: int) -> Parts:
    """Draw the clients' shares of each label from a Dirichlet distribution.

    Raises
    ------
    FederationError
        If none of 11 draws gives each client ``min_pairs`` pairs.
    """
    from flwr_datasets.partitioner import DirichletPartitioner

    partitioner = DirichletPartitioner(
        clients, "label", alpha, min_pairs, shuffle=False, seed=derive_seed(seed, "partition")
    )
    try:
        return _load(partitioner, {"index": range(len(labels)), "label": labels}, clients, seed)
    except ValueError as error:
        raise FederationError(
            f"No draw of partition=dirichlet gave each of {clients} clients partition.min_pairs={min_pairs} of "
            f"{len(labels)} pairs: set a greater partition.alpha (now {alpha}), a smaller partition.min_pairs, fewer "
            "clients or another seed."
        ) from error


def pathological(labels: Sequence[int], clients: int, classes_per_client: int, seed: int) -> Parts:
    """Give each client so many of the labels.

    Raises
    ------
    FederationError
        If a label has more clients than pairs.
    """
    from flwr_datasets.partitioner import PathologicalPartitioner

    partitioner = PathologicalPartitioner(
        clients, "label", classes_per_client, "first-deterministic", shuffle=False, seed=derive_seed(seed, "partition")
    )
    try:
        return _load(partitioner, {"index": range(len(labels)), "label": labels}, clients, seed)
    except ValueError as error:
        raise FederationError(
            f"{clients} clients with partition.classes_per_client={classes_per_client} labels each are more than "
            f"{len(labels)} pairs allow, as a label has more clients than pairs: set fewer of either."
        ) from error


def _load(partitioner: "Partitioner", columns: dict[str, Any], clients: int, seed: int | None = None) -> Parts:
    """Load all parts; with a seed the pairs are shuffled first, as the partitioners take runs of neighbours."""
    from datasets import Dataset  # type: ignore[import-untyped]

    table = Dataset.from_dict(columns)
    partitioner.dataset = table if seed is None else table.shuffle(seed=seed, keep_in_memory=True)
    # Partitioners draw a progress bar, and warn of what the callers document; they have no switch for either.
    with redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # [:] reads the column at once instead of pair by pair.
        return [sorted(partitioner.load_partition(client)["index"][:]) for client in range(clients)]
