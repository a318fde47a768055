"""Which training pairs each simulated client holds.

A partition depends on the pairs, its settings, the number of clients and the seed, and on nothing else: every client
finds its own pairs by itself, in a process of its own. ``config.name`` is one of

- ``site``: one client a site, in alphabetical order;
- ``label``: one client a group of labels, in the order of ``label_groups``; labels in no group are not used;
- ``iid``: equal random parts;
- ``shards``: the pairs in the order of their labels, cut into shards of equal size, ``shards_per_client`` of them for
  each client at random (McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
  AISTATS 2017, section 3);
- ``dirichlet``: the clients' shares of each label are drawn from a symmetric Dirichlet distribution of concentration
  ``alpha`` (Yurochkin et al., "Bayesian Nonparametric Federated Learning of Neural Networks", ICML 2019, section 4; Hsu
  et al., arXiv 1909.06335, draw the labels' shares of each client instead);
- ``pathological``: each client has ``classes_per_client`` labels, client k the label k (counted around) and others at
  random; a label's pairs are shared equally by its clients, and labels of no client are not used (Li et al., "Federated
  Learning on Non-IID Data Silos", ICDE 2022, "quantity-based label imbalance");
- ``size``: random parts, that of client k = 0, 1, ... proportional to ``(k + 1) ** -exponent`` (Zipf's law);
- ``foreground``: equal parts in the order of the foreground's share of the masks, from the least to the most, as
  AsynDGAN's authors divide BraTS by the size of the tumour (Chang et al., CVPR 2020);
- ``csv``: as the CSV file ``file`` says, whose clients are in alphabetical order.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import get_args

from flower_dgan.config import PartitionConfig, PartitionName
from flower_dgan.data.drawn_partition import by_client, draw
from flower_dgan.data.named_partition import NAMED
from flower_dgan.data.pairs import Entry, Source
from flower_dgan.errors import ConfigError, DataError, FederationError, unknown_name

WANTS_LABELS = ("label", "shards", "dirichlet", "pathological")
# What a client of a named partition is, and how to have another number of them.
_OTHERWISE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "site": ("site", "choose sites with data.sites=[...]"),
        "label": ("label group", "change partition.label_groups"),
        "csv": ("client name", "change partition.file"),
    }
)


def named_clients(entries: Sequence[Entry], config: PartitionConfig) -> tuple[str, ...]:
    """Name the clients of a partition that makes a certain number of them.

    Parameters
    ----------
    entries : sequence of Entry
        The training pairs.
    config : PartitionConfig
        How they are shared.

    Returns
    -------
    tuple of str
        Such as ``"breast"`` or ``"labels 0-4"``; none where any number of clients may share the pairs.

    Raises
    ------
    ConfigError
        If the partition is unknown, or does not fit the data.
    DataError
        If its file cannot be read, or does not fit the data, or a site or client of the file is called what no client
        can be, see :func:`~flower_dgan.names.check_name`.
    """
    _check_name(entries, config)
    return NAMED[config.name](entries, config)[0] if config.name in NAMED else ()


def partition(source: Source, config: PartitionConfig, clients: int, seed: int) -> dict[str, tuple[Entry, ...]]:
    """Share the training pairs among clients.

    Parameters
    ----------
    source : Source
        Whose training pairs are shared. ``foreground`` reads the pixels of all of them.
    config : PartitionConfig
        How they are shared.
    clients : int
        Number of clients that are present.
    seed : int
        Of what is random, at least 0; ``site``, ``label`` and ``csv`` do not use it.

    Returns
    -------
    dict of str to tuple of Entry
        By the name of the client, such as ``"breast"``, ``"labels 0-4"``, ``"part-0"`` or ``"foreground-0"``, in the
        order of Flower's partition ids. At least one entry each, in the order of ``source.train``; no two clients share
        an entry.

    Raises
    ------
    FederationError
        If the number of clients does not fit; the message has the command that sets it.
    ConfigError, DataError
        As ``named_clients``.
    """
    entries = source.train
    _check_name(entries, config)
    if config.name in NAMED:
        names, client_of = NAMED[config.name](entries, config)
        _require_clients(clients, names, *_OTHERWISE[config.name])
        parts = by_client(client_of, clients)
    else:
        if not 1 <= clients <= len(entries):
            raise FederationError(
                f"{clients} clients cannot share {len(entries)} training pairs: each needs at least one. "
                f"For a simulation run: {_command(len(entries))} (or fewer)."
            )
        word = "foreground" if config.name == "foreground" else "part"
        names = tuple(f"{word}-{index}" for index in range(clients))
        parts = draw(source, config, clients, seed)
    return {name: tuple(entries[index] for index in part) for name, part in zip(names, parts, strict=True)}


def require_batch(entries: Sequence[Entry], batch_size: int, client_name: str, held_out: int = 0) -> None:
    """Check that a client can fill a batch.

    Parameters
    ----------
    entries : sequence of Entry
        What the client trains on.
    batch_size : int
        Images of a batch.
    client_name : str
        The client's name.
    held_out : int
        How many images more it has, which are held out for validation.

    Raises
    ------
    DataError
        If there are fewer entries than ``batch_size``.
    """
    if len(entries) < batch_size:
        beside = f" beside {held_out} held out by selection.validation_fraction" if held_out else ""
        raise DataError(
            f"Client '{client_name}' has {len(entries)} training images{beside}, fewer than a batch of {batch_size}: "
            f"lower the batch size to {len(entries)} or less, or give the client more images."
        )


def _check_name(entries: Sequence[Entry], config: PartitionConfig) -> None:
    if config.name not in get_args(PartitionName):
        raise ConfigError(unknown_name("partition", config.name, get_args(PartitionName)))
    if config.name in WANTS_LABELS and any(entry.label < 0 for entry in entries):
        raise ConfigError(
            f"partition={config.name} needs a label for every image, and these have none: "
            "use partition=site, foreground, size or iid."
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
