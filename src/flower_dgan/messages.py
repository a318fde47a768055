"""The protocol: every record name, key, type and size that may cross between server and nodes.

Both sides read messages through the ``from_records`` functions here. A record or a key that is not on the list, an
array of another type or shape than announced, or a value that is not finite raises :class:`ProtocolError`; nothing of
such a message is used. No pickle is involved, and sizes are checked before memory is taken. Arrays of 8-bit numbers
travel deflated.
"""

import math
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, ConfigRecordValues, MetricRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.config import FeedbackFormat, ImageFormat
from flower_dgan.data.augmentation import Views
from flower_dgan.data.label_maps import PackedLabelMaps
from flower_dgan.errors import ProtocolError
from flower_dgan.records import check_names, pack_array, read_array, read_packed, read_value, record_of
from flower_dgan.wire_formats import FULL_SCALE

PROTOCOL_VERSION = 2
JOIN = "query.join"
LEAVE = "query.leave"
EXCHANGE = "train.exchange"


@dataclass(frozen=True)
class JoinRequest:
    """The server asks a node what it has.

    Attributes
    ----------
    configuration_hash : str
        Hash of the server's resolved configuration.
    known_label_maps : tuple of str
        Content hashes of the packed label maps that the server has already.
    """

    configuration_hash: str
    known_label_maps: tuple[str, ...]

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values: dict[str, ConfigRecordValues] = {
            "protocol-version": PROTOCOL_VERSION,
            "configuration-hash": self.configuration_hash,
            "known-label-maps": list(self.known_label_maps),
        }
        return RecordDict({"join": ConfigRecord(values)})

    @classmethod
    def from_records(cls, content: RecordDict) -> "JoinRequest":
        """Read the message; raises ProtocolError."""
        _check_version(content, "join")
        check_names(content, {"join": (ConfigRecord, {"protocol-version", "configuration-hash", "known-label-maps"})})
        join = content.config_records["join"]
        known = read_value(join, "known-label-maps", list)
        return cls(read_value(join, "configuration-hash", str), tuple(str(entry) for entry in known))


@dataclass(frozen=True)
class NodeDescription:
    """A node's answer to :class:`JoinRequest`.

    Attributes
    ----------
    name : str
        Name of the client, unique in the federation.
    images : int
        Number of training pairs.
    channels : int
        Channels of the images.
    classes : int
        Classes of the label maps, background included.
    queue : bool
        Whether the node takes a second message while it works on the first, and answers them in their order.
    label_maps_hash : str
        Content hash of the packed label maps.
    label_maps : PackedLabelMaps or None
        None where the server has them already.
    """

    name: str
    images: int
    channels: int
    classes: int
    queue: bool
    label_maps_hash: str
    label_maps: PackedLabelMaps | None

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values: dict[str, ConfigRecordValues] = {
            "protocol-version": PROTOCOL_VERSION,
            "name": self.name,
            "images": self.images,
            "channels": self.channels,
            "classes": self.classes,
            "queue": self.queue,
            "label-maps-hash": self.label_maps_hash,
        }
        maps = self.label_maps
        arrays = {}
        if maps is not None:
            arrays = {"shapes": Array(maps.shapes), "data": Array(np.frombuffer(maps.data, np.uint8))}
        return RecordDict({"node": ConfigRecord(values), "label-maps": ArrayRecord(arrays)})

    @classmethod
    def from_records(cls, content: RecordDict) -> "NodeDescription":
        """Read the message; raises ProtocolError."""
        _check_version(content, "node")
        maps = content.array_records.get("label-maps", ArrayRecord())
        keys = {"protocol-version", "name", "images", "channels", "classes", "queue", "label-maps-hash"}
        check_names(
            content,
            {"node": (ConfigRecord, keys), "label-maps": (ArrayRecord, {"shapes", "data"} if maps else set())},
        )
        node = content.config_records["node"]
        images, classes = read_value(node, "images", int), read_value(node, "classes", int)
        if not 1 <= images <= 10_000_000 or not 2 <= classes <= 256:
            raise ProtocolError(f"a node with {images} images and {classes} classes")
        packed = None
        if maps:
            shapes = read_array(maps["shapes"], "int32", (images, 2))
            data = read_array(maps["data"], "uint8", tuple(maps["data"].shape[:1]))
            packed = PackedLabelMaps(data.tobytes(), shapes.astype(np.int32), classes)
        return cls(
            name=read_value(node, "name", str),
            images=images,
            channels=read_value(node, "channels", int),
            classes=classes,
            queue=read_value(node, "queue", bool),
            label_maps_hash=read_value(node, "label-maps-hash", str),
            label_maps=packed,
        )


@dataclass(frozen=True)
class Leave:
    """The server is done with a node, which forgets the run and answers with the same."""

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        return RecordDict({"leave": ConfigRecord({"protocol-version": PROTOCOL_VERSION})})

    @classmethod
    def from_records(cls, content: RecordDict) -> "Leave":
        """Read the message; raises ProtocolError."""
        _check_version(content, "leave")
        check_names(content, {"leave": (ConfigRecord, {"protocol-version"})})
        return cls()


@dataclass(frozen=True)
class BundleShape:
    """Sizes and formats of one bundle, known on both sides before its arrays are read.

    Attributes
    ----------
    samples : int
        Exchanges times batch size.
    channels, image_size : int
        Of the images.
    image_format, feedback_format : str
        Number formats on the wire.
    """

    samples: int
    channels: int
    image_size: int
    image_format: ImageFormat
    feedback_format: FeedbackFormat

    @property
    def images(self) -> tuple[int, int, int, int]:
        """Shape of the image array and of the gradient array."""
        return (self.samples, self.channels, self.image_size, self.image_size)


@dataclass(frozen=True)
class BundleMessage:
    """The S synthetic batches of one round for one node.

    Attributes
    ----------
    round_number : int
        From 1.
    answered : int
        The last round of which the server has the node's feedback, 0 for none.
    views : Views
        Which window of which of the node's pairs each sample was made for, (samples,).
    images : array, uint8 or float32, (samples, channels, height, width)
        In the wire's format.
    """

    round_number: int
    answered: int
    views: Views
    images: NDArray[np.generic]

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values: dict[str, ConfigRecordValues] = {
            "protocol-version": PROTOCOL_VERSION,
            "round": self.round_number,
            "answered": self.answered,
        }
        return RecordDict(
            {
                "bundle": ConfigRecord(values),
                "views": ArrayRecord({"ids": Array(self.views.ids), "windows": Array(self.views.windows)}),
                "synthetic": ArrayRecord({"images": pack_array(self.images)}),
            }
        )

    @classmethod
    def from_records(cls, content: RecordDict, shape: BundleShape) -> "BundleMessage":
        """Read the message; raises ProtocolError."""
        _check_version(content, "bundle")
        check_names(
            content,
            {
                "bundle": (ConfigRecord, {"protocol-version", "round", "answered"}),
                "views": (ArrayRecord, {"ids", "windows"}),
                "synthetic": (ArrayRecord, {"images"}),
            },
        )
        arrays, bundle = content.array_records, content.config_records["bundle"]
        images = read_packed(arrays["synthetic"]["images"], shape.image_format, shape.images)
        if shape.image_format == "float32" and np.abs(images).max() > 1:
            raise ProtocolError("synthetic images outside [-1, 1]")
        return cls(
            round_number=read_value(bundle, "round", int),
            answered=read_value(bundle, "answered", int),
            views=Views(
                read_array(arrays["views"]["ids"], "int64", (shape.samples,)).astype(np.int64),
                read_array(arrays["views"]["windows"], "int16", (shape.samples, 4)).astype(np.int16),
            ),
            images=images,
        )


@dataclass(frozen=True)
class FeedbackMessage:
    """A node's answer to :class:`BundleMessage`.

    Attributes
    ----------
    losses : array, float32, (samples,)
        Generator losses.
    gradients : array, (samples, channels, height, width)
        In the wire's format.
    scales : array, float32, (samples,)
        One a sample, see ``wire_formats``.
    discriminator_loss : float
        Mean over the bundle's batches.
    busy_seconds : float
        Time that the node spent on the message.
    compute_seconds : float
        Of these, stepping the discriminator and differentiating its loss.
    peak_memory_mib : float
        Largest resident memory of the node's process so far.
    """

    losses: NDArray[np.float32]
    gradients: NDArray[np.generic]
    scales: NDArray[np.float32]
    discriminator_loss: float
    busy_seconds: float
    compute_seconds: float
    peak_memory_mib: float

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        arrays = {"losses": Array(self.losses), "gradients": pack_array(self.gradients), "scales": Array(self.scales)}
        metrics: dict[str, float] = {
            "discriminator-loss": self.discriminator_loss,
            "busy-seconds": self.busy_seconds,
            "compute-seconds": self.compute_seconds,
            "peak-memory-mib": self.peak_memory_mib,
        }
        return RecordDict({"feedback": ArrayRecord(arrays), "metrics": MetricRecord(dict(metrics))})

    @classmethod
    def from_records(cls, content: RecordDict, shape: BundleShape) -> "FeedbackMessage":
        """Read the message; raises ProtocolError."""
        keys = {"discriminator-loss", "busy-seconds", "compute-seconds", "peak-memory-mib"}
        check_names(
            content,
            {"feedback": (ArrayRecord, {"losses", "gradients", "scales"}), "metrics": (MetricRecord, keys)},
        )
        arrays, metrics = content.array_records["feedback"], content.metric_records["metrics"]
        numbers = {key: read_value(metrics, key, float) for key in sorted(keys)}
        if not all(math.isfinite(number) for number in numbers.values()):
            raise ProtocolError(f"metrics that are not finite: {numbers}")
        gradients = read_packed(arrays["gradients"], shape.feedback_format, shape.images)
        scales = read_array(arrays["scales"], "float32", (shape.samples,)).astype(np.float32)
        full = FULL_SCALE.get(shape.feedback_format, math.inf)
        if scales.min() < 0 or gradients.max() > full or gradients.min() < -full:
            # Their products could be infinite though they are not.
            raise ProtocolError(f"gradients beyond {full:g}, or negative scales")
        return cls(
            losses=read_array(arrays["losses"], "float32", (shape.samples,)).astype(np.float32),
            gradients=gradients,
            scales=scales,
            discriminator_loss=numbers["discriminator-loss"],
            busy_seconds=numbers["busy-seconds"],
            compute_seconds=numbers["compute-seconds"],
            peak_memory_mib=numbers["peak-memory-mib"],
        )


def _check_version(content: RecordDict, name: str) -> None:
    """Compare protocol versions before anything else, so that a newer peer is named as such."""
    version = record_of(content, name, ConfigRecord).get("protocol-version")
    if version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"protocol version {version!r} meets version {PROTOCOL_VERSION}: install the same flower-dgan everywhere"
        )
