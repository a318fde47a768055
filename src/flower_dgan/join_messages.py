"""The messages at the start and the end of a training: what a node has, and that it may forget."""

from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, ConfigRecordValues, RecordDict
from numpy.typing import NDArray

from flower_dgan.data.array_files import MOST_CHANNELS
from flower_dgan.data.label_maps import PackedLabelMaps
from flower_dgan.errors import ProtocolError
from flower_dgan.protocol import PROTOCOL_VERSION, Training, check_version
from flower_dgan.records import check_names, read_array, read_value

JOIN = "query.join"
LEAVE = "query.leave"


@dataclass(frozen=True)
class JoinRequest:
    """The server asks a node what it has.

    Attributes
    ----------
    training : Training
        Which training the node is to join.
    configuration_hash : str
        Hash of the server's resolved configuration.
    known_label_maps : tuple of str
        Content hashes of the packed label maps that the server has already.
    """

    training: Training
    configuration_hash: str
    known_label_maps: tuple[str, ...]

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values: dict[str, ConfigRecordValues] = {
            **self.training.values(),
            "configuration-hash": self.configuration_hash,
            "known-label-maps": list(self.known_label_maps),
        }
        return RecordDict({"join": ConfigRecord(values)})

    @classmethod
    def from_records(cls, content: RecordDict) -> "JoinRequest":
        """Read the message; raises ProtocolError."""
        training = Training.of(content, "join")
        check_names(content, {"join": (ConfigRecord, {*training.values(), "configuration-hash", "known-label-maps"})})
        join = content.config_records["join"]
        known = read_value(join, "known-label-maps", list)
        return cls(training, read_value(join, "configuration-hash", str), tuple(str(entry) for entry in known))


@dataclass(frozen=True)
class NodeDescription:
    """A node's answer to :class:`JoinRequest`.

    Attributes
    ----------
    name : str
        Name of the client, unique in the federation.
    images : int
        Number of training pairs.
    channels : tuple of int
        Which channels of the images the node holds, from 0 and ascending; it is sent these alone.
    classes : int
        Classes of the label maps, background included; 1 where they say nothing.
    queue : bool
        Whether the node takes a second message while it works on the first, and answers them in their order.
    label_maps_hash : str or None
        Content hash of the packed label maps; None where they stay at the node.
    label_maps : PackedLabelMaps or None
        None where the server has them already, or they stay at the node.
    sizes : int32 array (images, 2) or None
        Height and width of each image where the label maps, which would say it, stay at the node.
    """

    name: str
    images: int
    channels: tuple[int, ...]
    classes: int
    queue: bool
    label_maps_hash: str | None
    label_maps: PackedLabelMaps | None
    sizes: NDArray[np.int32] | None = None

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values: dict[str, ConfigRecordValues] = {
            "protocol-version": PROTOCOL_VERSION,
            "name": self.name,
            "images": self.images,
            "channels": list(self.channels),
            "classes": self.classes,
            "queue": self.queue,
        }
        if self.sizes is not None:
            sizes = ArrayRecord({"sizes": Array(self.sizes)})
            return RecordDict({"node": ConfigRecord(values), "images": sizes})
        maps, values["label-maps-hash"] = self.label_maps, str(self.label_maps_hash)
        arrays = {}
        if maps is not None:
            arrays = {"shapes": Array(maps.shapes), "data": Array(np.frombuffer(maps.data, np.uint8))}
        return RecordDict({"node": ConfigRecord(values), "label-maps": ArrayRecord(arrays)})

    @classmethod
    def from_records(cls, content: RecordDict, *, label_maps_leave: bool = True) -> "NodeDescription":
        """Read the message, in which label maps are allowed where they may leave; raises ProtocolError."""
        check_version(content, "node")
        maps = content.array_records.get("label-maps", ArrayRecord())
        keys = {"protocol-version", "name", "images", "channels", "classes", "queue"}
        if label_maps_leave:
            about = (ArrayRecord, {"shapes", "data"} if maps else set())
            check_names(content, {"node": (ConfigRecord, {*keys, "label-maps-hash"}), "label-maps": about})
        else:
            check_names(content, {"node": (ConfigRecord, keys), "images": (ArrayRecord, {"sizes"})})
        node = content.config_records["node"]
        images, classes = read_value(node, "images", int), read_value(node, "classes", int)
        if not 1 <= images <= 10_000_000 or not 1 <= classes <= 256:
            raise ProtocolError(f"a node with {images} images and {classes} classes")
        channels = tuple(read_value(node, "channels", list))
        ascending = sorted({*channels} & {*range(MOST_CHANNELS)})
        if not channels or not all(type(each) is int for each in channels) or [*channels] != ascending:
            raise ProtocolError(f"a node with the channels {str(channels)[:80]}")
        packed = sizes = None
        if not label_maps_leave:
            sizes = read_array(content.array_records["images"]["sizes"], "int32", (images, 2)).astype(np.int32)
        elif maps:
            shapes = read_array(maps["shapes"], "int32", (images, 2))
            data = read_array(maps["data"], "uint8", tuple(maps["data"].shape[:1]))
            packed = PackedLabelMaps(data.tobytes(), shapes.astype(np.int32), classes)
        return cls(
            name=read_value(node, "name", str),
            images=images,
            channels=channels,
            classes=classes,
            queue=read_value(node, "queue", bool),
            label_maps_hash=read_value(node, "label-maps-hash", str) if label_maps_leave else None,
            label_maps=packed,
            sizes=sizes,
        )


@dataclass(frozen=True)
class Leave:
    """The server is done with a node, which forgets the training and answers with the same.

    Attributes
    ----------
    training : Training
        Which training.
    """

    training: Training

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        return RecordDict({"leave": ConfigRecord(self.training.values())})

    @classmethod
    def from_records(cls, content: RecordDict) -> "Leave":
        """Read the message; raises ProtocolError."""
        training = Training.of(content, "leave")
        check_names(content, {"leave": (ConfigRecord, set(training.values()))})
        return cls(training)
