"""What one node holds: its name and its real pairs."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import DataConfig, PartitionConfig, TrainingConfig
from flower_dgan.data import Entry, Pairs, Source, named_clients, open_source, partition, require_batch
from flower_dgan.data.channels import (
    Channels,
    hide_channels,
    require_clients_of_missing_channels,
    simulated_channels,
)
from flower_dgan.data.pairs import own_images
from flower_dgan.data.splits import validation_groups
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.names import check_name
from flower_dgan.node.kept_pairs import hashes_of
from flower_dgan.node.own_data import on_own_device, own_data, without_paths
from flower_dgan.node.owner_words import told_as_entries
from flower_dgan.node.simulation import NodeConfig, in_ray, in_simulation
from flower_dgan.node.spooled_pairs import load_or_spool


@dataclass(frozen=True)
class Node:
    """One client.

    Attributes
    ----------
    name : str
        Unique in the federation.
    pairs : Pairs
        Its training pairs.
    channels : tuple of int or None
        Which channels of the images its own have; None for all.
    validation : Pairs or None
        The pairs of its training split that are held out for validation, in the same channels; None where none are.
    groups : tuple of str
        Whose each training pair is: a patient, a scene; of a pair that nothing is said of, its own.
    """

    name: str
    pairs: Pairs
    channels: Channels = None
    validation: Pairs | None = None
    groups: tuple[str, ...] = ()


def settings_at(config: TrainingConfig, node_config: NodeConfig) -> TrainingConfig:
    """Return the settings of a training as a node may use them: a deployed one without the paths and patterns.

    Where a deployed one computes its owner says, ``--node-config 'device="cuda:1"'``, and no server; raises ConfigError
    if that is no text.
    """
    return config if in_simulation(node_config) else on_own_device(without_paths(config), node_config)


def open_node(config: TrainingConfig, node_config: NodeConfig) -> Node:
    """Open the data of a node.

    A deployed node names its own data, ``--node-config 'data-path="/data" name="clinic-a"'``, and what else there is to
    say of them: see :func:`~flower_dgan.node.own_data.own_data`. A simulated one takes its share of the run's data by
    the ``partition-id`` that Flower gives it, without the channels that the run says it lacks. A deployed one with a
    ``partition-id`` and no data of its own has a share of the embedded digits, of which everybody has a copy.

    Raises
    ------
    ConfigError
        If the node is told neither, or not its name, or one that is none, or channels that are not its own to tell.
    DataError, FederationError
        If the data cannot be used or shared.
    """
    if "data-path" in node_config:
        if "name" not in node_config:
            raise ConfigError("""The node configuration has a data-path but no name: add name="<site>" to it.""")
        if config.data.missing_channels:
            raise ConfigError(
                """data.missing_channels is for simulations: leave it out, and start a node with --node-config """
                """'... channels="0,2"' if its files hold only these."""
            )
        config = all_of_it(config)
        data, channels = own_data(config.data, node_config)
        name, fraction = check_name(str(node_config["name"])), config.selection.validation_fraction
        return _open_own(data, channels, name, config.exchange.batch_size, fraction)
    if "channels" in node_config:
        raise ConfigError("A simulated node does not say its channels: set data.missing_channels for the run.")
    if "partition-id" not in node_config:
        raise ConfigError(
            """The node does not know its data: start it with --node-config 'data-path="<folder>" name="<site>"'."""
        )
    if not in_simulation(node_config) and (config.data.source != "digits" or config.partition.name == "csv"):
        raise ConfigError(
            """A node outside of a simulation has data of its own, and reads none that a server names: start it with """
            """--node-config 'data-path="<folder>" name="<site>"'."""
        )
    return open_partition(config, int(node_config["partition-id"]), int(node_config["num-partitions"]))


def all_of_it(config: TrainingConfig) -> TrainingConfig:
    """Return the settings of a training as a node with data of its own takes them.

    Where noise alone bounds what leaves, all images take part but those that the owner's names or table put into a test
    split. A share that is held out would have patients in or out by who else is there, and a batch that is wanted would
    tell how many images there are: either tells of a patient more than the noise allows.
    """
    if not algorithm_of(config).releases.by_noise:
        return config
    return replace(
        config,
        data=replace(config.data, test_fraction=0.0),
        selection=replace(config.selection, validation_fraction=0.0),
        exchange=replace(config.exchange, batch_size=1),
    )


def node_key(node_config: NodeConfig) -> str:
    """Return what the owner calls the node: the same in every message, and for a node that was started again."""
    if "name" in node_config:
        return str(node_config["name"])
    return f"{node_config.get('partition-id')} of {node_config.get('num-partitions')}"


def simulated_clients(config: TrainingConfig, asked: int | None = None) -> int | None:
    """Return how many clients a simulation has: as asked for, or as many as the partition makes, None for any number.

    Raises
    ------
    ConfigError, DataError, FederationError
        If the data cannot be used, or shared among as many as are asked for.
    """
    clients = asked
    if clients is None:
        clients = len(named_clients(_source(config.data).train, config.partition)) or None
    if clients is not None:
        _parts(config.data, config.partition, clients, config.seed)
    return clients


def takes_messages_in_order() -> bool:
    """Return whether the runtime that this process belongs to hands a node its messages one after another.

    A SuperNode does. Flower's simulation, which runs in Ray, may give two messages of a node to two workers at once.
    """
    return not in_ray()


# A Flower process serves many messages in simulation: what was read stays for the next one.
@lru_cache(maxsize=1)
def _source(data: DataConfig, *, tested: bool = True) -> Source:
    return open_source(data, tested=tested)


@lru_cache(maxsize=1)
def _parts(
    data: DataConfig, settings: PartitionConfig, clients: int, seed: int
) -> tuple[tuple[str, tuple[Entry, ...]], ...]:
    parts = tuple(partition(_source(data), settings, clients, seed).items())
    require_clients_of_missing_channels(data, [name for name, _ in parts])
    return parts


def simulated_source(config: TrainingConfig) -> Source:
    """Return the run's data, opened; raises ConfigError and DataError as :func:`open_node`."""
    return _source(config.data)


def simulated_parts(config: TrainingConfig, clients: int) -> dict[str, tuple[Entry, ...]]:
    """Return which of the run's training pairs each client of a simulation holds, by its name; raises as that does."""
    return dict(_parts(config.data, config.partition, clients, config.seed))


def open_partition(config: TrainingConfig, client: int, clients: int) -> Node:
    """Open a simulated client's share of the run's data; raises DataError and FederationError as :func:`open_node`."""
    fraction = config.selection.validation_fraction
    return _open_part(config.data, config.partition, client, clients, config.seed, config.exchange.batch_size, fraction)


@cache
def _open_part(
    data: DataConfig,
    settings: PartitionConfig,
    client: int,
    clients: int,
    seed: int,
    batch_size: int,
    validation_fraction: float,
) -> Node:
    if not 0 <= client < clients:
        raise FederationError(f"There is no partition {client} of {clients}: partition ids are 0 .. {clients - 1}.")
    parts = _parts(data, settings, clients, seed)
    held_out = validation_groups((entries for _, entries in parts), validation_fraction)
    name, entries = parts[client]
    channels = simulated_channels(data, name)
    train, validation, groups = _load(_source(data).load, entries, held_out, batch_size, name)
    return Node(
        name,
        hide_channels(train, channels),
        channels,
        None if validation is None else hide_channels(validation, channels),
        groups,
    )


@lru_cache(maxsize=1)
def _open_own(data: DataConfig, channels: Channels, name: str, batch_size: int, validation_fraction: float) -> Node:
    with told_as_entries():
        source = _source(data, tested=False)  # others test
    held_out = validation_groups([source.train], validation_fraction)
    read = partial(load_or_spool, source, channels=data.channels)
    train, validation, groups = _load(read, source.train, held_out, batch_size, name)
    return Node(name, train, channels, validation, groups)


def _load(
    read: Callable[[Sequence[Entry]], Pairs], entries: Sequence[Entry], held_out: Set[str], batch_size: int, name: str
) -> tuple[Pairs, Pairs | None, tuple[str, ...]]:
    """Read what a client trains on, at least a batch, what is held out of that, and whose the first are."""
    train = [entry for entry in entries if entry.group not in held_out]
    validation = [entry for entry in entries if entry.group in held_out]
    require_batch(train, batch_size, name, len(validation))
    return read(train), read(validation) if validation else None, tuple(entry.group for entry in train)


def hashes_at(config: TrainingConfig, node_config: NodeConfig) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the hashes, uint8 (images, 32), of a node's images as their files hold them: what its owner's book says.

    The first are of those that it trains on, the second of those that are held out for validation. Channels, target and
    size of a training change no hash: counts would begin anew with each.
    """
    if "data-path" in node_config:
        config = all_of_it(config)
        source = _source(own_data(config.data, node_config)[0], tested=False)
        entries: Sequence[Entry] = source.train
        shared = [entries]
    else:
        source = _source(config.data)
        clients = int(node_config["num-partitions"])
        shared = [part for _, part in _parts(config.data, config.partition, clients, config.seed)]
        entries = shared[int(node_config["partition-id"])]
    held_out = validation_groups(shared, config.selection.validation_fraction)
    train = [entry for entry in entries if entry.group not in held_out]
    held = [entry for entry in entries if entry.group in held_out]
    return hashes_of(own_images(source, train)), hashes_of(own_images(source, held))
