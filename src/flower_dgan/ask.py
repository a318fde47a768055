"""What the server asks the nodes at the start: what each has, and the label maps that it does not have yet."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from flower_dgan.config import Config
from flower_dgan.data import PackedLabelMaps, content_hash
from flower_dgan.errors import ProtocolError
from flower_dgan.join_messages import (
    JOIN,
    LABEL_MAPS,
    JoinRequest,
    LabelMapsRequest,
    NodeDescription,
    label_maps_from_records,
)
from flower_dgan.protocol import Training
from flower_dgan.resolve import configuration_hash
from flower_dgan.whole_file import whole_file


def ask(
    grid: Grid, nodes: Iterable[int], config: Config, cache: Path, training: Training
) -> tuple[dict[int, NodeDescription], list[str]]:
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
    dict of int to NodeDescription
        What nodes say of themselves.
    list of str
        What was wrong with the others.

    Raises
    ------
    ProtocolError
        If an answer does not follow the protocol.
    """
    request = JoinRequest(training, configuration_hash(config)).to_records()
    replies, problems = _exchange(grid, nodes, JOIN, request, config)
    leaving = config.data.label_maps_leave
    descriptions = {
        node: NodeDescription.from_records(content, label_maps_leave=leaving) for node, content in replies.items()
    }
    if leaving:
        problems += _fetch_label_maps(grid, descriptions, config, cache, training)
    return descriptions, problems


def read_label_maps(description: NodeDescription, cache: Path) -> PackedLabelMaps:
    """Return label maps from the cache; raises ProtocolError if they have not the hash that they go by."""
    path = _cached(description, cache)
    with np.load(path, allow_pickle=False) as arrays:
        packed = PackedLabelMaps(arrays["data"].tobytes(), arrays["shapes"], int(arrays["classes"]))
    if content_hash(packed) != description.label_maps_hash:
        raise ProtocolError(f"the label maps in {path} do not have the hash in their name: delete the file")
    return packed


def _exchange(
    grid: Grid, nodes: Iterable[int], message_type: str, content: RecordDict, config: Config
) -> tuple[dict[int, RecordDict], list[str]]:
    """Send the same to several nodes; return their answers, and what was wrong with the others."""
    messages = [Message(content, dst_node_id=node, message_type=message_type) for node in nodes]
    silent, problems, answers = {message.metadata.dst_node_id for message in messages}, [], {}
    for reply in grid.send_and_receive(messages, timeout=config.exchange.join_timeout):
        node = reply.metadata.src_node_id
        silent.discard(node)
        if reply.has_error():
            problems.append(f"node {node}: {reply.error.reason}")
        else:
            answers[node] = reply.content
    return answers, [*problems, *(f"node {node} did not answer" for node in sorted(silent))]


def _fetch_label_maps(
    grid: Grid, descriptions: dict[int, NodeDescription], config: Config, cache: Path, training: Training
) -> list[str]:
    """Fill the cache with the label maps that it lacks; return what was wrong, and leave those nodes away."""
    lacking = {node: each for node, each in descriptions.items() if not _cached(each, cache).is_file()}
    answers, problems = _exchange(grid, lacking, LABEL_MAPS, LabelMapsRequest(training).to_records(), config)
    for node, description in lacking.items():
        if node not in answers:
            del descriptions[node]
            continue
        packed = label_maps_from_records(answers[node])
        if content_hash(packed) != description.label_maps_hash:
            raise ProtocolError(f"label maps of client {description.name} do not have the hash that it announced")
        cache.mkdir(parents=True, exist_ok=True)
        with whole_file(_cached(description, cache), shared=True) as partial, partial.open("wb") as file:
            np.savez(file, data=np.frombuffer(packed.data, np.uint8), shapes=packed.shapes, classes=packed.classes)
    return problems


def _cached(description: NodeDescription, cache: Path) -> Path:
    return cache / f"{description.label_maps_hash}.npz"
