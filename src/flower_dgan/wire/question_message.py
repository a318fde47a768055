"""What the server asks a node in a round, as it travels."""

import hashlib
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, ConfigRecordValues, RecordDict
from numpy.typing import NDArray

from flower_dgan.data.views import Views
from flower_dgan.errors import ProtocolError
from flower_dgan.gan.exchange import Question
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.formats import decode_images, encode_images
from flower_dgan.wire.parameters import DISCRIMINATOR, ParameterShapes, read_parameters, write_parameters
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.records import check_names, pack_array, read_array, read_packed, read_value

EXCHANGE = "train.exchange"

KEPT_CHECKPOINTS = 2
"""Checkpoints that a server keeps: as many rounds a node must be able to go back to."""


@dataclass(frozen=True)
class Envelope:
    """Whose question it is, and of which round.

    Attributes
    ----------
    training : Training
        Which training it belongs to.
    round_number : int
        From 1.
    answered : int
        The last round of which the server has the node's answer, 0 for none.
    returns : tuple of int
        Rounds, in their order, to whose end the server may go back after a crash.
    digest : str
        Hash of the question: equal for one that is sent again. Empty at the server.
    """

    training: Training
    round_number: int
    answered: int
    returns: tuple[int, ...]
    digest: str = ""


def write_question(envelope: Envelope, question: Question, shape: BundleShape) -> RecordDict:
    """Return the content of a message."""
    values: dict[str, ConfigRecordValues] = {
        **envelope.training.values(),
        "round": envelope.round_number,
        "answered": envelope.answered,
        "returns": list(envelope.returns),
        "return-weights": question.return_weights,
    }
    synthetic = {"images": pack_array(encode_images(question.images, shape.image_format))}
    if question.label_maps is not None and shape.classes:
        synthetic["label-maps"] = pack_array(question.label_maps)
    content = RecordDict({"bundle": ConfigRecord(values), "synthetic": ArrayRecord(synthetic)})
    if question.views is not None:
        views = {"ids": Array(question.views.ids), "windows": Array(question.views.windows)}
        content["views"] = ArrayRecord(views)
    if question.weights is not None:
        content[DISCRIMINATOR] = write_parameters(question.weights)
    return content


def read_question(
    content: RecordDict, shape: BundleShape, discriminator: ParameterShapes | None = None
) -> tuple[Envelope, Question]:
    """Read what :func:`write_question` wrote, which may bring a discriminator of that form; raises ProtocolError."""
    brings = discriminator is not None and DISCRIMINATOR in content
    training = Training.of(content, "bundle")
    check_names(
        content,
        {
            "bundle": (ConfigRecord, {*training.values(), "round", "answered", "returns", "return-weights"}),
            "synthetic": (ArrayRecord, {"images", "label-maps"} if shape.classes else {"images"}),
            **({"views": (ArrayRecord, {"ids", "windows"})} if not shape.classes else {}),
            **({DISCRIMINATOR: (ArrayRecord, set(discriminator or {}))} if brings else {}),
        },
    )
    arrays, bundle = content.array_records, content.config_records["bundle"]
    images = read_packed(arrays["synthetic"]["images"], shape.image_format, shape.images)
    if shape.image_format == "float32" and np.abs(images).max() > 1:
        raise ProtocolError("synthetic images outside [-1, 1]")
    label_maps = _read_label_maps(arrays["synthetic"]["label-maps"], shape) if shape.classes else None
    views = None if shape.classes else _read_views(arrays["views"], shape)
    weights = read_parameters(arrays[DISCRIMINATOR], discriminator or {}) if brings else None
    returns = read_value(bundle, "returns", list)
    if len(returns) > KEPT_CHECKPOINTS or not all(type(entry) is int for entry in returns):
        raise ProtocolError(f"a list of rounds {str(returns)[:80]}")
    return_weights = read_value(bundle, "return-weights", bool)
    found = hashlib.sha256(str(return_weights).encode())
    of_views = [] if views is None else [views.ids, views.windows]
    for array in [*of_views, images, label_maps, *(weights or {}).values()]:
        if array is not None:
            found.update(np.ascontiguousarray(array).tobytes())
    envelope = Envelope(
        training,
        read_value(bundle, "round", int),
        read_value(bundle, "answered", int),
        tuple(returns),
        found.hexdigest(),
    )
    return envelope, Question(decode_images(images), views, label_maps, weights, return_weights)


def _read_label_maps(array: Array, shape: BundleShape) -> NDArray[np.uint8]:
    label_maps = read_packed(array, "uint8", (shape.images[0], *shape.images[2:])).astype(np.uint8)
    if label_maps.max() >= shape.classes:
        raise ProtocolError(f"label maps with class {label_maps.max()} of {shape.classes}")
    return label_maps


def _read_views(record: ArrayRecord, shape: BundleShape) -> Views:
    samples = shape.images[0]
    return Views(
        read_array(record["ids"], "int64", (samples,)).astype(np.int64),
        read_array(record["windows"], "int16", (samples, 4)).astype(np.int16),
    )
