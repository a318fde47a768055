"""What the server sends a node in a round."""

import hashlib
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, ConfigRecordValues, RecordDict
from numpy.typing import NDArray

from flower_dgan.data.views import Views
from flower_dgan.errors import ProtocolError
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.parameters import DISCRIMINATOR, Parameters, ParameterShapes, read_parameters, write_parameters
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.records import check_names, pack_array, read_array, read_packed, read_value

EXCHANGE = "train.exchange"

KEPT_CHECKPOINTS = 2
"""Checkpoints that a server keeps: as many rounds a node must be able to go back to."""


@dataclass(frozen=True)
class BundleMessage:
    """The S synthetic batches of one round for one node.

    Attributes
    ----------
    training : Training
        Which training it belongs to.
    round_number : int
        From 1.
    answered : int
        The last round of which the server has the node's feedback, 0 for none.
    returns : tuple of int
        Rounds, in their order, to whose end the server may go back after a crash.
    views : Views or None
        Which view of which of the node's own label maps each synthetic image was made from, (samples,); None where it
        was made from others, which travel with it. With colours, for losses that compare with the real image of that
        label map pixel by pixel. Which real images the discriminator sees no message says.
    images : array, uint8 or float32, (samples or twice as many, channels, height, width)
        In the wire's format.
    label_maps : array, uint8, (as many, height, width), or None
        Class ids of those that the images were made from; None where they are the node's own.
    swap : bool
        Whether the answer is to bring the node's discriminator, for another node.
    discriminator : Parameters or None
        That of another node, or of the server, which this one goes on with.
    """

    training: Training
    round_number: int
    answered: int
    returns: tuple[int, ...]
    views: Views | None
    images: NDArray[np.generic]
    label_maps: NDArray[np.uint8] | None = None
    swap: bool = False
    discriminator: Parameters | None = None

    def digest(self) -> str:
        """Return a hash of what is asked: equal for a message that is sent again."""
        found = hashlib.sha256(str(self.swap).encode())
        views = (None, None, None) if self.views is None else (self.views.ids, self.views.windows, self.views.colours)
        for array in [*views, self.images, self.label_maps, *(self.discriminator or {}).values()]:
            if array is None:
                continue
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values: dict[str, ConfigRecordValues] = {
            **self.training.values(),
            "round": self.round_number,
            "answered": self.answered,
            "returns": list(self.returns),
            "swap": self.swap,
        }
        synthetic = {"images": pack_array(self.images)}
        if self.label_maps is not None:
            synthetic["label-maps"] = pack_array(self.label_maps)
        content = RecordDict(
            {
                "bundle": ConfigRecord(values),
                "synthetic": ArrayRecord(synthetic),
            }
        )
        if self.views is not None:
            content["views"] = _write_views(self.views)
        if self.discriminator is not None:
            content[DISCRIMINATOR] = write_parameters(self.discriminator)
        return content

    @classmethod
    def from_records(
        cls, content: RecordDict, shape: BundleShape, discriminator: ParameterShapes | None = None
    ) -> "BundleMessage":
        """Read the message, which may bring a discriminator of that form; raises ProtocolError."""
        brings = discriminator is not None and DISCRIMINATOR in content
        training = Training.of(content, "bundle")
        check_names(
            content,
            {
                "bundle": (ConfigRecord, {*training.values(), "round", "answered", "returns", "swap"}),
                **({"views": (ArrayRecord, _keys_of_views(shape))} if shape.views else {}),
                "synthetic": (ArrayRecord, {"images", "label-maps"} if shape.classes else {"images"}),
                **({DISCRIMINATOR: (ArrayRecord, set(discriminator or {}))} if brings else {}),
            },
        )
        arrays, bundle = content.array_records, content.config_records["bundle"]
        images = read_packed(arrays["synthetic"]["images"], shape.image_format, shape.images)
        if shape.image_format == "float32" and np.abs(images).max() > 1:
            raise ProtocolError("synthetic images outside [-1, 1]")
        label_maps = None
        if shape.classes:
            pixels = (shape.images[0], *shape.images[2:])
            label_maps = read_packed(arrays["synthetic"]["label-maps"], "uint8", pixels).astype(np.uint8)
            if label_maps.max() >= shape.classes:
                raise ProtocolError(f"label maps with class {label_maps.max()} of {shape.classes}")
        returns = read_value(bundle, "returns", list)
        if len(returns) > KEPT_CHECKPOINTS or not all(type(entry) is int for entry in returns):
            raise ProtocolError(f"a list of rounds {str(returns)[:80]}")
        return cls(
            training=training,
            round_number=read_value(bundle, "round", int),
            answered=read_value(bundle, "answered", int),
            returns=tuple(returns),
            views=_read_views(arrays["views"], shape) if shape.views else None,
            images=images,
            label_maps=label_maps,
            swap=read_value(bundle, "swap", bool),
            discriminator=read_parameters(arrays[DISCRIMINATOR], discriminator or {}) if brings else None,
        )


def _keys_of_views(shape: BundleShape) -> set[str]:
    return {"ids", "windows", "colours"} if shape.colours else {"ids", "windows"}


def _write_views(views: Views) -> ArrayRecord:
    arrays = {"ids": Array(views.ids), "windows": Array(views.windows)}
    if views.colours is not None:
        arrays["colours"] = Array(views.colours)
    return ArrayRecord(arrays)


def _read_views(record: ArrayRecord, shape: BundleShape) -> Views:
    """Read views of as many samples as are due; whether they fit the label maps is not known here."""
    colours = read_array(record["colours"], "int8", (shape.samples, 4)).astype(np.int8) if shape.colours else None
    ids = read_array(record["ids"], "int64", (shape.samples,)).astype(np.int64)
    return Views(ids, read_array(record["windows"], "int16", (shape.samples, 4)).astype(np.int16), colours)
