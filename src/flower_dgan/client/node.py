"""What one node holds: its name and its real pairs."""

import sys
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from flower_dgan.client.policy import NodeConfig
from flower_dgan.config import Config, DataConfig, ImportPath, PartitionConfig, SourceName
from flower_dgan.data import Entry, Pairs, Source, named_clients, open_source, partition, require_batch
from flower_dgan.data.channels import (
    Channels,
    hide_channels,
    own_channels,
    require_clients_of_missing_channels,
    simulated_channels,
)
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.names import check_name


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
    """

    name: str
    pairs: Pairs
    channels: Channels = None


def open_node(config: Config, node_config: NodeConfig) -> Node:
    """Open the data of a node.

    A deployed node names its own data, ``--node-config 'data-path="/data" name="clinic-a"'``, and with
    ``channels="0,2"`` the channels that they hold, if not all. A simulated one takes its share of the run's data by the
    ``partition-id`` that Flower gives it, without the channels that the run says it lacks.

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
        channels = str(node_config["channels"]) if "channels" in node_config else None
        return _open_own(config, str(node_config["data-path"]), check_name(str(node_config["name"])), channels)
    if "channels" in node_config:
        raise ConfigError("A simulated node does not say its channels: set data.missing_channels for the run.")
    if "partition-id" not in node_config:
        raise ConfigError(
            """The node does not know its data: start it with --node-config 'data-path="<folder>" name="<site>"'."""
        )
    return _open_partition(config, int(node_config["partition-id"]), int(node_config["num-partitions"]))


def node_key(node_config: NodeConfig) -> str:
    """Return what the owner calls the node: the same in every message, and for a node that was started again."""
    if "name" in node_config:
        return str(node_config["name"])
    return f"{node_config.get('partition-id')} of {node_config.get('num-partitions')}"


def simulated_clients(config: Config, asked: int | None = None) -> int | None:
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
    return "ray" not in sys.modules


# A Flower process serves many messages in simulation: what was read stays for the next one.
@lru_cache(maxsize=1)
def _source(data: DataConfig) -> Source:
    return open_source(data)


@lru_cache(maxsize=1)
def _parts(
    data: DataConfig, settings: PartitionConfig, clients: int, seed: int
) -> tuple[tuple[str, tuple[Entry, ...]], ...]:
    parts = tuple(partition(_source(data), settings, clients, seed).items())
    require_clients_of_missing_channels(data, [name for name, _ in parts])
    return parts


@cache
def _open_partition(config: Config, client: int, clients: int) -> Node:
    if not 0 <= client < clients:
        raise FederationError(f"There is no partition {client} of {clients}: partition ids are 0 .. {clients - 1}.")
    name, entries = _parts(config.data, config.partition, clients, config.seed)[client]
    require_batch(entries, config.exchange.batch_size, name)
    channels = simulated_channels(config.data, name)
    return Node(name, hide_channels(_source(config.data).load(entries), channels), channels)


@lru_cache(maxsize=1)
def _open_own(config: Config, path: str, name: str, given: str | None) -> Node:
    if config.data.missing_channels:
        raise ConfigError(
            """data.missing_channels is for simulations: leave it out, and start a node with --node-config """
            """'... channels="0,2"' if its files hold only these."""
        )
    channels = None if given is None else own_channels(config.data, given)
    count = config.data.channels if channels is None else len(channels)
    # the embedded digits are everybody's; a node with a folder has images of its own
    kind: SourceName | ImportPath = "folder" if config.data.source == "digits" else config.data.source
    source = _source(replace(config.data, source=kind, root=path, channels=count))
    require_batch(source.train, config.exchange.batch_size, name)
    return Node(name, source.load(source.train), channels)
