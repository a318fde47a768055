"""Which training pairs each simulated client holds, by the partitioners of Flower Datasets."""

from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO

from flower_dgan.config import PartitionConfig
from flower_dgan.data.pairs import Entry
from flower_dgan.data.splits import some
from flower_dgan.errors import ConfigError, DataError, FederationError, unknown_name

NAMES = ("site", "label", "iid")


def partition_names(entries: Sequence[Entry], config: PartitionConfig, clients: int) -> tuple[str, ...]:
    """Name the clients, and check that this many of them can share the pairs.

    Parameters
    ----------
    entries : sequence of Entry
        The training pairs.
    config : PartitionConfig
        ``site``: one client a site, in alphabetical order; ``label``: one client a group of labels, in the order of
        ``label_groups`` (pairs of a label in no group are not used); ``iid``: equal random parts.
    clients : int
        Number of clients that are present.

    Returns
    -------
    tuple of str
        The name of partition 0, 1, ...: such as ``"breast"``, ``"labels 0-4"`` or ``"part-0"``.

    Raises
    ------
    FederationError
        If the number of clients does not fit; the message has the command that sets it.
    ConfigError
        If the label groups overlap, are empty, or do not fit the data.
    """
    if config.name == "site":
        names = tuple(sorted({entry.site for entry in entries}))
        _require_clients(clients, names, "site", "choose sites with data.sites=[...]")
    elif config.name == "label":
        _check_labels(entries, config.label_groups)
        names = tuple(_labels_name(group) for group in config.label_groups)
        _require_clients(clients, names, "label group", "change partition.label_groups")
    elif config.name == "iid":
        if not 1 <= clients <= len(entries):
            raise FederationError(
                f"{clients} clients cannot share {len(entries)} training pairs: each needs at least one. "
                f"For a simulation run: {_command(len(entries))} (or fewer)."
            )
        names = tuple(f"part-{index}" for index in range(clients))
    else:
        raise ConfigError(unknown_name("partition", config.name, NAMES))
    return names


def partition(
    entries: Sequence[Entry], config: PartitionConfig, client: int, clients: int, seed: int
) -> tuple[Entry, ...]:
    """Take the pairs of one client.

    Parameters
    ----------
    entries : sequence of Entry
        The training pairs.
    config : PartitionConfig
        How they are shared.
    client : int
        Partition id in 0 .. ``clients`` - 1; the client is called ``partition_names(...)[client]``.
    clients : int
        Number of clients.
    seed : int
        Of the random parts of ``iid``, at least 0; the other partitions do not use it.

    Returns
    -------
    tuple of Entry
        At least one, in the order of ``entries``; no two clients share an entry.

    Raises
    ------
    FederationError, ConfigError
        As ``partition_names``; FederationError also if there is no such client.
    """
    partition_names(entries, config, clients)
    if not 0 <= client < clients:
        raise FederationError(f"There is no partition {client} of {clients}: partition ids are 0 .. {clients - 1}.")
    # Imported here: Flower Datasets brings pyarrow and pandas, which takes seconds and is for simulations only.
    from datasets import Dataset  # type: ignore[import-untyped]
    from flwr_datasets.partitioner import (  # type: ignore[import-untyped]
        IidPartitioner,
        NaturalIdPartitioner,
        Partitioner,
    )

    if config.name == "label":
        client_of = {label: index for index, group in enumerate(config.label_groups) for label in group}
        used = [index for index, entry in enumerate(entries) if entry.label in client_of]
        table = Dataset.from_dict({"index": used, "client": [client_of[entries[index].label] for index in used]})
    else:
        table = Dataset.from_dict({"index": range(len(entries)), "client": [entry.site for entry in entries]})
    if config.name == "iid":
        # The partitioner takes runs of neighbours; the shuffle makes them random parts.
        table = table.shuffle(seed=seed, keep_in_memory=True)
        partitioner: Partitioner = IidPartitioner(num_partitions=clients)
    else:
        partitioner = NaturalIdPartitioner(partition_by="client")
    partitioner.dataset = table
    # The partitioner draws a progress bar, and has no switch for it.
    with redirect_stderr(StringIO()):
        part = partitioner.load_partition(client)
    return tuple(entries[index] for index in sorted(part["index"]))


def require_batch(entries: Sequence[Entry], batch_size: int, client_name: str) -> None:
    """Check that a client can fill a batch.

    Raises
    ------
    DataError
        If there are fewer entries than ``batch_size``.
    """
    if len(entries) < batch_size:
        raise DataError(
            f"Client '{client_name}' has {len(entries)} training images, fewer than a batch of {batch_size}: "
            f"lower the batch size to {len(entries)} or less, or give the client more images."
        )


def _command(clients: int) -> str:
    return f"flwr federation simulation-config @none/default local --num-supernodes {clients}"


def _require_clients(clients: int, names: Sequence[str], kind: str, otherwise: str) -> None:
    if clients == len(names):
        return
    surplus, lacking = clients - len(names), len(names) - clients
    outcome = f"{surplus} of the clients would have no data" if surplus > 0 else f"{lacking} would be left out"
    raise FederationError(
        f"{clients} clients but {len(names)} {kind}s ({'; '.join(names)}), so {outcome}: one client a {kind} is "
        f"needed. For a simulation run: {_command(len(names))} (or {otherwise})."
    )


def _labels_name(group: Sequence[int]) -> str:
    labels = sorted(group)
    if len(labels) == 1:
        return f"label {labels[0]}"
    if labels == list(range(labels[0], labels[-1] + 1)):
        return f"labels {labels[0]}-{labels[-1]}"
    return f"labels {','.join(map(str, labels))}"


def _check_labels(entries: Sequence[Entry], groups: Sequence[Sequence[int]]) -> None:
    known = {entry.label for entry in entries}
    if -1 in known:
        raise ConfigError("partition=label needs a label for every image, and these have none: use partition=site.")
    if not groups or not all(groups):
        raise ConfigError(f"partition.label_groups={list(map(list, groups))} has a client without labels: give it one.")
    given = [label for group in groups for label in group]
    if twice := {str(label) for label in given if given.count(label) > 1}:
        raise ConfigError(f"partition.label_groups names label {some(twice)} twice: each label belongs to one client.")
    if absent := set(given) - known:
        raise ConfigError(
            f"partition.label_groups names label {some(map(str, absent))}, which no training image has; "
            f"known: {', '.join(map(str, sorted(known)))}."
        )
