"""What the server asks the nodes at the start: what each has, and the label maps that it does not have yet."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from flower_dgan.config import Config
from flower_dgan.data import PackedLabelMaps, content_hash
from flower_dgan.errors import ProtocolError
from flower_dgan.federation.cached_label_maps import read_cached, write_cached
from flower_dgan.wire.join_messages import (
    JOIN,
    LABEL_MAPS,
    JoinRequest,
    NodeDescription,
    label_maps_from_records,
)
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import Refusal, reason_of

_OF_OWNERS = (Refusal.APPROVAL, Refusal.APPROVAL_HOURS, Refusal.REVOKED)


@dataclass
class Asked:
    """What became of asking nodes.

    Attributes
    ----------
    descriptions : dict of int to NodeDescription
        What nodes say of themselves.
    problems : list of str
        What was wrong with others.
    undecided : dict of int to str
        Why others do not take part, where that is their owners' word: it is not there yet, came too late, or is no.
    waiting : set of int
        Which of these wait.
    """

    descriptions: dict[int, NodeDescription] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    undecided: dict[int, str] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)

    def add(self, later: "Asked") -> None:
        """Take in what became of asking some of the nodes again."""
        for node in [*later.descriptions, *later.undecided]:
            self.undecided.pop(node, None)
        self.descriptions |= later.descriptions
        self.problems += later.problems
        self.undecided |= later.undecided
        self.waiting = later.waiting


def ask(grid: Grid, nodes: Iterable[int], config: Config, cache: Path, training: Training) -> Asked:
    """Ask nodes what they have, and fill the cache with their label maps.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    nodes : iterable of int
        Their ids.
    config : Config
        The run's configuration.
    cache : Path
        Directory of packed label maps, one file a content hash.
    training : Training
        Which training they are to join.

    Returns
    -------
    Asked
        What they say.
    """
    data, found = config.data, Asked()
    leaving, counted = data.label_maps_leave, data.counts_leave
    descriptions = found.descriptions

    def describe(node: int, content: RecordDict) -> None:
        descriptions[node] = NodeDescription.from_records(content, label_maps_leave=leaving, counts_leave=counted)

    request = JoinRequest(training, config).to_records()
    found.problems = _exchange(grid, nodes, JOIN, request, config, describe, found)
    if not leaving:
        return found

    def fill_cache(node: int, content: RecordDict) -> None:
        _fill_cache(descriptions[node], label_maps_from_records(content), cache)

    lacking = [node for node, each in descriptions.items() if not _cached(each, cache).is_file()]
    request = training.to_records("request")
    found.problems += _exchange(grid, lacking, LABEL_MAPS, request, config, fill_cache, found)
    found.descriptions = {node: each for node, each in descriptions.items() if _cached(each, cache).is_file()}
    return found


def read_label_maps(description: NodeDescription, cache: Path) -> PackedLabelMaps:
    """Return label maps from the cache; raises ProtocolError if they have another hash or number of classes."""
    path = _cached(description, cache)
    packed = read_cached(path)
    if content_hash(packed) != description.label_maps_hash:
        raise ProtocolError(f"the label maps in {path} do not have the hash in their name: delete the file")
    if packed.classes != description.classes:
        raise ProtocolError(f"{description.name} has {description.classes} classes, its label maps {packed.classes}")
    return packed


def _exchange(
    grid: Grid,
    nodes: Iterable[int],
    message_type: str,
    content: RecordDict,
    config: Config,
    on_answer: Callable[[int, RecordDict], None],
    found: Asked,
) -> list[str]:
    """Send the same to several nodes; return what was wrong with those whose answers are none.

    Owners who have not decided are noted instead.
    """
    messages = [Message(content, dst_node_id=node, message_type=message_type) for node in nodes]
    silent, problems = {message.metadata.dst_node_id for message in messages}, []
    for reply in grid.send_and_receive(messages, timeout=config.exchange.join_timeout):
        node = reply.metadata.src_node_id
        silent.discard(node)
        if reply.has_error() and reply.error.code in _OF_OWNERS:
            found.undecided[node] = reason_of(reply.error)
            found.waiting |= {node} if reply.error.code == Refusal.APPROVAL else set()
            continue
        try:
            if reply.has_error():
                raise ProtocolError(reason_of(reply.error))
            on_answer(node, reply.content)
        except ProtocolError as error:
            problems.append(f"node {node}: {reason_of(error)}")
    return [*problems, *(f"node {node} did not answer" for node in sorted(silent))]


def _fill_cache(description: NodeDescription, packed: PackedLabelMaps, cache: Path) -> None:
    """Keep label maps that have the hash that their node announced; raises ProtocolError."""
    if content_hash(packed) != description.label_maps_hash:
        raise ProtocolError(f"the label maps of {description.name} do not have the hash that it announced")
    write_cached(_cached(description, cache), packed)


def _cached(description: NodeDescription, cache: Path) -> Path:
    return cache / f"{description.label_maps_hash}.npz"
