"""Start and end of a run: wait for the nodes, ask each what it has, check that they fit together; let them go."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from flower_dgan.config import Config
from flower_dgan.data import LabelMaps, PackedLabelMaps, Pixels, check_label_map_sizes, unpack
from flower_dgan.data.channels import Channels
from flower_dgan.errors import FederationError, ProtocolError
from flower_dgan.federation.ask import Asked, ask, read_label_maps
from flower_dgan.federation.claims import Claims
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.networks.build import ImageShape
from flower_dgan.validation.channel_checks import check_missing_channels
from flower_dgan.wire.join_messages import LEAVE, NodeDescription
from flower_dgan.wire.protocol import Training

logger = logging.getLogger("flwr")

_ASK_AGAIN, _TELL_AGAIN = 5.0, 60.0  # seconds


@dataclass(frozen=True)
class JoinedClient:
    """A node that takes part.

    Attributes
    ----------
    node_id : int
        Flower's id of the node, random in each federation.
    queue : bool
        Whether it takes a second message while it works on the first.
    labels : ClientLabels
        Its name, label maps and channels.
    policy : str
        Under which policy it said that it takes part.
    """

    node_id: int
    queue: bool
    labels: ClientLabels
    policy: str = ""

    @property
    def name(self) -> str:
        """Name of the client."""
        return self.labels.name

    @property
    def images(self) -> int:
        """Its number of training pairs, n_k."""
        return self.labels.images

    @property
    def channels(self) -> Channels:
        """Which channels of the images it holds; None for all."""
        return self.labels.channels


def wait_for_nodes(grid: Grid, count: int, timeout: float) -> tuple[int, ...]:
    """Return the ids of all connected nodes once there are at least ``count``.

    Raises
    ------
    FederationError
        If there are fewer after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while len(nodes := tuple(grid.get_node_ids())) < count:
        if time.monotonic() > deadline:
            raise FederationError(
                f"{len(nodes)} of {count} nodes are connected after {timeout:.0f} s (exchange.join_timeout). Start the "
                "SuperNodes and look at their logs, or lower exchange.min_nodes."
            )
        time.sleep(0.1)
    return nodes


def join(
    grid: Grid,
    config: Config,
    cache: Path,
    training: Training,
    claims: Claims,
    foreign: LabelMaps | None = None,
    on_refused: Callable[[str, str], None] = lambda *_: None,
) -> tuple[JoinedClient, ...]:
    """Ask every connected node what it has.

    Label maps are fetched once: those whose hash is in ``cache`` are not asked for. None are where they stay at the
    nodes.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    config : Config
        The run's configuration.
    cache : Path
        Directory of packed label maps, one file a content hash.
    training : Training
        Which training the nodes are to join.
    claims : Claims
        Whose the clients' names are.
    foreign : LabelMaps or None
        What synthetic images are made from where it is not the nodes' label maps.
    on_refused : callable
        Called with each node that does not take part, and why.

    Returns
    -------
    tuple of JoinedClient
        In the order of their names.

    Raises
    ------
    FederationError
        If no node is there in time, a node refuses, stays silent or does not follow the protocol, or their data do not
        fit together.
    ProtocolError
        If label maps are not those that a node announced.
    """
    nodes = wait_for_nodes(grid, config.exchange.min_nodes, config.exchange.join_timeout)
    asked = _decided(grid, config, cache, training, ask(grid, nodes, config, cache, training), on_refused)
    descriptions = asked.descriptions
    for problem in dict.fromkeys(asked.problems):
        on_refused(*_who_and_why(problem))
    if asked.problems:
        raise FederationError("The run cannot start: " + "; ".join(dict.fromkeys(asked.problems)))
    check_agreement(list(descriptions.values()), config)
    for node, description in descriptions.items():
        claims.take(node, description)
    if nowhere := set(range(config.data.channels)).difference(*(each.channels for each in descriptions.values())):
        raise FederationError(
            f"No client holds channel {min(nowhere)} of 0 .. {config.data.channels - 1}, so nobody could teach it: "
            "wait for one that does with exchange.min_nodes, or let the run do without it."
        )
    ordered = sorted(descriptions.items(), key=lambda item: item[1].name)
    if foreign is not None and foreign.classes != (classes := ordered[0][1].classes):
        raise FederationError(
            f"The label maps of {foreign.folder} have {foreign.classes} classes, and the clients have {classes}: give "
            "data.label_maps a folder with the clients' classes, each in at least one label map."
        )
    maps = foreign.maps if foreign else ()
    if not config.data.counts_leave:  # nobody knows how often a class is there: all alike
        maps = uniform_maps(ordered[0][1].classes, config.data.image_size)
    return tuple(
        joined(node, description, config, index, cache, maps) for index, (node, description) in enumerate(ordered)
    )


def _who_and_why(problem: str) -> tuple[str, str]:
    """Split what is wrong with a node into the node and the reason, of which it may be the subject."""
    who, found, why = problem.partition(": ")
    if not found:
        words = problem.split(" ", 2)
        who, why = " ".join(words[:2]), words[-1]
    return who, why


def _decided(
    grid: Grid,
    config: Config,
    cache: Path,
    training: Training,
    asked: Asked,
    on_refused: Callable[[str, str], None],
) -> Asked:
    """Wait for owners who are to approve the training, and go on without those who do not in time.

    Whoever approved waits for the others as long as for nodes that are not connected yet; where they are fewer than the
    run needs, until the owners decide: their policies say how long that may take.

    Raises
    ------
    FederationError
        If they stay fewer.
    """
    start, told, pause = time.monotonic(), 0.0, _ASK_AGAIN
    while asked.waiting and not asked.problems:
        waited = time.monotonic() - start
        if waited > config.exchange.join_timeout and len(asked.descriptions) >= config.exchange.min_nodes:
            break
        if not told or time.monotonic() - told > _TELL_AGAIN:
            told = time.monotonic()
            logger.info(
                "%d of at least %d owners let their nodes take part. %s, since %.0f s: flower-dgan policy waiting, "
                "there.",
                len(asked.descriptions),
                config.exchange.min_nodes,
                _who_waits(asked.waiting),
                waited,
            )
        time.sleep(pause)
        pause = min(1.5 * pause, _TELL_AGAIN)  # a line in the log, and in the ledger, of each owner each time
        asked.add(ask(grid, sorted(asked.waiting), config, cache, training))
    for node, why in sorted(asked.undecided.items()):
        on_refused(f"node {node}", why)
    words = "; ".join(f"node {node}: {why}" for node, why in sorted(asked.undecided.items()))
    if not asked.problems and len(asked.descriptions) < config.exchange.min_nodes:
        there = len(asked.descriptions)
        nodes = "1 node" if there == 1 else f"{there} nodes"
        raise FederationError(f"The run cannot start with {nodes} (exchange.min_nodes): {words}")
    if words:
        logger.warning("The run starts without some nodes: %s", words)
    return asked


def _who_waits(nodes: Iterable[int]) -> str:
    """Say that nodes, at least one, wait for whoever owns them."""
    *others, last = map(str, sorted(nodes))
    if not others:
        return f"Node {last} waits for its owner's approval"
    return f"Nodes {', '.join(others)} and {last} wait for their owners' approval"


def joined(
    node: int, description: NodeDescription, config: Config, site: int, cache: Path, foreign: tuple[Pixels, ...]
) -> JoinedClient:
    """Return the client that a node is, with its label maps from the cache; raises ProtocolError.

    Where these stay at the node, blank ones of their sizes take their place; a single one where not even these are
    known.
    """
    sizes = description.sizes
    if description.images is None:
        sizes = np.full((1, 2), config.data.image_size, np.int32)
    packed = read_label_maps(description, cache) if sizes is None else PackedLabelMaps(b"", sizes, 1)
    try:
        check_label_map_sizes(packed.shapes, config.data.image_size)
    except ProtocolError as error:
        raise ProtocolError(f"client {description.name}: {error}") from error
    label_maps = unpack(packed)
    if description.images not in (None, len(label_maps)):
        raise ProtocolError(f"client {description.name}: {description.images} images, {len(label_maps)} label maps")
    channels = channels_of(description, config)
    some = "" if channels is None else f", channels {', '.join(map(str, channels))} of {config.data.channels}"
    count = "its number of" if description.images is None else description.images
    logger.info("Client %s (node %d): %s images%s", description.name, node, count, some)
    if (description.levels is None) == (config.model.levels == "site"):
        raise ProtocolError(f"client {description.name}: levels of its images that do not fit model.levels")
    labels = ClientLabels(
        description.name,
        label_maps,
        description.classes,
        site,
        foreign,
        channels,
        description.levels,
        description.publish,
    )
    return JoinedClient(node, description.queue, labels, description.policy)


def uniform_maps(classes: int, image_size: int) -> tuple[Pixels, ...]:
    """Return a constant label map of each class."""
    return tuple(np.broadcast_to(np.uint8(index), (image_size, image_size)) for index in range(classes))


def channels_of(description: NodeDescription, config: Config) -> Channels:
    """Return which channels of the images a node holds."""
    return None if len(description.channels) == config.data.channels else description.channels


def leave(grid: Grid, config: Config, clients: Sequence[JoinedClient], training: Training) -> None:
    """Let the nodes forget a training; one that does not answer is named in the log, and keeps what it has."""
    content = training.to_records("leave")
    messages = [Message(content, dst_node_id=client.node_id, message_type=LEAVE) for client in clients]
    left = {
        reply.metadata.src_node_id
        for reply in grid.send_and_receive(messages, timeout=config.exchange.join_timeout)
        if not reply.has_error()
    }
    if silent := [client.name for client in clients if client.node_id not in left]:
        logger.warning("No answer to leaving from %s: what was kept of the training stays there.", ", ".join(silent))


def image_shape(config: Config, clients: Sequence[JoinedClient]) -> ImageShape:
    """Return what the networks of a run see; the sites are its clients."""
    return ImageShape(
        classes=clients[0].labels.classes,
        channels=config.data.channels,
        image_size=config.data.image_size,
        sites=tuple(client.name for client in clients),
        levels=tuple(client.labels.levels for client in clients if client.labels.levels is not None),
    )


def check_agreement(descriptions: Sequence[NodeDescription], config: Config) -> None:
    """Raise FederationError if nodes do not fit each other or the configuration, ConfigError if that has to change."""
    names = [description.name for description in descriptions]
    if len(set(names)) < len(names):
        raise FederationError(f"Two nodes have the same name among {', '.join(sorted(names))}: give each its own.")
    classes = {description.name: description.classes for description in descriptions}
    if len(set(classes.values())) > 1:
        raise FederationError(
            f"The clients' numbers of classes differ: {classes}. Say how many there are, such as "
            f"data.classes={max(classes.values())}: then one that lacks a class takes part, too."
        )
    for description in descriptions:
        if not set(description.channels) <= set(range(config.data.channels)):
            raise FederationError(
                f"{description.name} has the channels {list(description.channels)} of {config.data.channels}."
            )
        if channels_of(description, config) is not None:
            check_missing_channels(config)
