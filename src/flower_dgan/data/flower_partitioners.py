"""Two partitioners of Flower Datasets, on the numbers of the pairs: 0 .. n - 1.

Flower Datasets is the extra ``partitions`` and imported where it is called: it brings pyarrow and pandas, which takes
seconds, and these two draws are published ones that are used as they are given out.
"""

import importlib
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.randomness import derive_seed

if TYPE_CHECKING:
    from flwr_datasets.partitioner import Partitioner  # type: ignore[import-untyped]

Parts = list[list[int]]
"""The numbers of the pairs of each client, in ascending order."""


def dirichlet(labels: Sequence[int], clients: int, alpha: float, min_pairs: int, seed: int) -> Parts:
    """Draw the clients' shares of each label from a Dirichlet distribution.

    Raises
    ------
    ConfigError
        If Flower Datasets is not installed.
    FederationError
        If none of 11 draws gives each client ``min_pairs`` pairs.
    """
    partitioner = _partitioners("dirichlet").DirichletPartitioner(
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
    ConfigError
        If Flower Datasets is not installed.
    FederationError
        If a label has more clients than pairs.
    """
    partitioner = _partitioners("pathological").PathologicalPartitioner(
        clients, "label", classes_per_client, "first-deterministic", shuffle=False, seed=derive_seed(seed, "partition")
    )
    try:
        return _load(partitioner, {"index": range(len(labels)), "label": labels}, clients, seed)
    except ValueError as error:
        raise FederationError(
            f"{clients} clients with partition.classes_per_client={classes_per_client} labels each are more than "
            f"{len(labels)} pairs allow, as a label has more clients than pairs: set fewer of either."
        ) from error


def _partitioners(name: str) -> ModuleType:
    try:
        return importlib.import_module("flwr_datasets.partitioner")
    except ImportError as error:
        raise ConfigError(
            f"partition={name} is drawn by Flower Datasets, which cannot be imported here ({error}): "
            "pip install 'flower-dgan[partitions]', or set another partition."
        ) from error


def _load(partitioner: "Partitioner", columns: dict[str, Any], clients: int, seed: int) -> Parts:
    """Load all parts of the pairs, which are shuffled first, as the partitioners take runs of neighbours."""
    from datasets import Dataset  # type: ignore[import-untyped]

    partitioner.dataset = Dataset.from_dict(columns).shuffle(seed=seed, keep_in_memory=True)
    # Partitioners draw a progress bar, and warn of what the callers document; they have no switch for either.
    with redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # [:] reads the column at once instead of pair by pair.
        return [sorted(partitioner.load_partition(client)["index"][:]) for client in range(clients)]
