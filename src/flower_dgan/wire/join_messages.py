"""The messages at the start and the end of a training: what a node has, and that it may forget."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, ConfigRecordValues, RecordDict
from numpy.typing import NDArray

from flower_dgan.config import TrainingConfig
from flower_dgan.config.data_settings import MOST_CHANNELS
from flower_dgan.data.label_maps import PackedLabelMaps
from flower_dgan.data.levels import Levels
from flower_dgan.errors import ProtocolError
from flower_dgan.names import check_name
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.protocol import PROTOCOL_VERSION, Training, check_version
from flower_dgan.wire.records import check_names, read_array, read_value

JOIN = "query.join"
LABEL_MAPS = "query.label_maps"
LEAVE = "query.leave"

TOKEN_BYTES = 16
"""Of a node's token."""

NO_OWNER = "no owner"
"""In place of a policy, of a node that has no images of an owner's: a simulated one, or one of embedded digits."""
OWN_RULES = "own rules"
"""In place of a preset's name, of a node whose owner has written a policy."""
POLICIES = frozenset({"strict", "standard", "research", OWN_RULES, NO_OWNER})
"""What a node may say of its policy: no more than a word of these, as its limits are its owner's to tell."""


@dataclass(frozen=True)
class JoinRequest:
    """The server asks a node what it has.

    Attributes
    ----------
    training : Training
        Which training the node is to join.
    config : TrainingConfig
        All that there is to know of it.
    """

    training: Training
    config: TrainingConfig

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values = {**self.training.values(), "description": describe_training(self.config)}
        return RecordDict({"join": ConfigRecord(values)})

    @classmethod
    def from_records(
        cls, content: RecordDict, allow_code: Callable[[str, str], None] = lambda *_: None
    ) -> "JoinRequest":
        """Read the message, see :func:`~flower_dgan.wire.description.read_description`.

        Raises
        ------
        ProtocolError
            If it does not follow the protocol.
        ConfigError
            If settings contradict each other.
        """
        training = Training.of(content, "join")
        check_names(content, {"join": (ConfigRecord, {*training.values(), "description"})})
        text = read_value(content.config_records["join"], "description", str)
        return cls(training, read_description(text, allow_code))


@dataclass(frozen=True)
class NodeDescription:
    """A node's answer to :class:`JoinRequest`.

    Attributes
    ----------
    name : str
        Name of the client, unique in the federation.
    images : int or None
        Number of training pairs; None where that stays at the node, too.
    channels : tuple of int
        Which channels of the images the node holds, from 0 and ascending; it is sent these alone.
    classes : int
        Classes of the label maps, background included; 1 where they say nothing.
    queue : bool
        Whether the node takes a second message while it works on the first, and answers them in their order.
    token : str
        Secret of node and server, 32 hexadecimal digits: whoever has it is the node of this name in this training.
    label_maps_hash : str or None
        Content hash of the packed label maps, 64 hexadecimal digits; None where they stay at the node.
    sizes : int32 array (images, 2) or None
        Height and width of each image where the label maps, which would say it, stay at the node.
    levels : Levels or None
        Mean and standard deviation of its images, a channel; None where ``model.levels`` does not ask for them.
    policy : str
        Under which policy it says that it takes part, one of :data:`POLICIES`.
    publish : bool
        Whether its owner lets pieces of its label maps be in the published set.
    """

    name: str
    images: int | None
    channels: tuple[int, ...]
    classes: int
    queue: bool
    token: str
    label_maps_hash: str | None
    sizes: NDArray[np.int32] | None = None
    levels: Levels | None = None
    policy: str = NO_OWNER
    publish: bool = False

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values: dict[str, ConfigRecordValues] = {
            "protocol-version": PROTOCOL_VERSION,
            "name": self.name,
            "channels": list(self.channels),
            "classes": self.classes,
            "queue": self.queue,
            "token": self.token,
            "levels": _written(self.levels),
            "policy": self.policy,
            "publish": self.publish,
        }
        if self.images is None:
            return RecordDict({"node": ConfigRecord(values)})
        values["images"] = self.images
        if self.sizes is None:
            return RecordDict({"node": ConfigRecord({**values, "label-maps-hash": str(self.label_maps_hash)})})
        sizes = ArrayRecord({"sizes": Array(self.sizes)})
        return RecordDict({"node": ConfigRecord(values), "images": sizes})

    @classmethod
    def from_records(
        cls, content: RecordDict, *, label_maps_leave: bool = True, counts_leave: bool = True
    ) -> "NodeDescription":
        """Read the message, which names label maps, or sizes, where they may leave; raises ProtocolError."""
        check_version(content, "node")
        keys = {"protocol-version", "name", "channels", "classes", "queue", "token", "levels", "policy", "publish"}
        keys |= {"images"} if counts_leave else set()
        if not counts_leave:
            check_names(content, {"node": (ConfigRecord, keys)})
        elif label_maps_leave:
            check_names(content, {"node": (ConfigRecord, {*keys, "label-maps-hash"})})
        else:
            check_names(content, {"node": (ConfigRecord, keys), "images": (ArrayRecord, {"sizes"})})
        node = content.config_records["node"]
        images, classes = read_value(node, "images", int) if counts_leave else None, read_value(node, "classes", int)
        if not 1 <= (1 if images is None else images) <= 10_000_000 or not 1 <= classes <= 256:
            raise ProtocolError(f"a node with {images} images and {classes} classes")
        channels = tuple(read_value(node, "channels", list))
        ascending = sorted({*channels} & {*range(MOST_CHANNELS)})
        if not channels or not all(type(each) is int for each in channels) or [*channels] != ascending:
            raise ProtocolError(f"a node with the channels {str(channels)[:80]}")
        token = read_value(node, "token", str)
        if not re.fullmatch(f"[0-9a-f]{{{2 * TOKEN_BYTES}}}", token):
            raise ProtocolError("a node with a token that is none")
        policy = read_value(node, "policy", str)
        if policy not in POLICIES:
            raise ProtocolError(f"a node with the policy {policy[:80]!r}")
        sizes = announced = None
        if label_maps_leave and images is not None:
            announced = read_value(node, "label-maps-hash", str)
            if not re.fullmatch("[0-9a-f]{64}", announced):
                raise ProtocolError(f"a node that announces the hash {announced[:80]!r}")
        elif images is not None:
            sizes = read_array(content.array_records["images"]["sizes"], "int32", (images, 2)).astype(np.int32)
        return cls(
            name=check_name(read_value(node, "name", str), ProtocolError),
            images=images,
            channels=channels,
            classes=classes,
            queue=read_value(node, "queue", bool),
            token=token,
            label_maps_hash=announced,
            sizes=sizes,
            levels=_read_levels(read_value(node, "levels", list), len(channels)),
            policy=policy,
            publish=read_value(node, "publish", bool),
        )


def _read_levels(values: list[Any], channels: int) -> Levels | None:
    if not values:
        return None
    try:
        *numbers, grey = values
        levels = Levels(tuple(numbers[:channels]), tuple(numbers[channels:]), {0: False, 1: True}[grey])
    except (ValueError, TypeError, KeyError) as error:
        raise ProtocolError(f"a node with levels that are none: {error}") from error
    if len(levels.mean) != channels:
        raise ProtocolError(f"a node with levels of {len(levels.mean)} channels, and {channels} channels")
    return levels


def _written(levels: Levels | None) -> list[int]:
    return [] if levels is None else [*levels.mean, *levels.deviation, int(levels.grey)]


def label_maps_to_records(maps: PackedLabelMaps) -> RecordDict:
    """Return the content of a node's answer to ``query.label_maps``, which says only of which training it is."""
    arrays = ArrayRecord({"shapes": Array(maps.shapes), "data": Array(np.frombuffer(maps.data, np.uint8))})
    values = ConfigRecord({"protocol-version": PROTOCOL_VERSION, "classes": maps.classes})
    return RecordDict({"node": values, "label-maps": arrays})


def label_maps_from_records(content: RecordDict) -> PackedLabelMaps:
    """Read the answer, whose arrays are still to be checked by unpacking them; raises ProtocolError."""
    check_version(content, "node")
    check_names(
        content,
        {"node": (ConfigRecord, {"protocol-version", "classes"}), "label-maps": (ArrayRecord, {"shapes", "data"})},
    )
    arrays = content.array_records["label-maps"]
    shapes = read_array(arrays["shapes"], "int32", (*arrays["shapes"].shape[:1], 2))
    data = read_array(arrays["data"], "uint8", tuple(arrays["data"].shape[:1]))
    classes = read_value(content.config_records["node"], "classes", int)
    return PackedLabelMaps(data.tobytes(), shapes.astype(np.int32), classes)
