"""What a node answers in a round, as it travels."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

from flower_dgan.config import FeedbackFormat
from flower_dgan.errors import ProtocolError
from flower_dgan.gan.exchange import Answer, Feedback
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.formats import FULL_SCALE, decode_gradients, encode_gradients, largest_decoded
from flower_dgan.wire.parameters import (
    DISCRIMINATOR,
    ParameterShapes,
    read_change,
    read_parameters,
    write_parameters,
)
from flower_dgan.wire.records import check_names, pack_array, read_array, read_packed, read_value

_LARGEST_LOSS = float(np.finfo(np.float32).max)

_METRICS = {
    "discriminator-loss": (-_LARGEST_LOSS, _LARGEST_LOSS),
    "busy-seconds": (0.0, 1e8),
    "compute-seconds": (0.0, 1e8),
    "peak-memory-mib": (0.0, 1e9),
}
"""The metrics of an answer, and from where to where each may be: losses as float32 has them, 3 years, 1 PiB."""


@dataclass(frozen=True)
class Effort:
    """What an answer cost its node.

    Attributes
    ----------
    busy_seconds : float
        Time that the node spent on the message.
    compute_seconds : float
        Of these, the algorithm's own.
    peak_memory_mib : float
        Largest resident memory of the node's process so far.
    """

    busy_seconds: float
    compute_seconds: float
    peak_memory_mib: float


def write_answer(answer: Answer, effort: Effort, feedback_format: FeedbackFormat) -> RecordDict:
    """Return the content of a message.

    A change of weights travels deflated: one with a tenth of its entries as less than a fifth of its bytes.
    """
    gradients, scales = encode_gradients(answer.feedback.gradients, feedback_format)
    arrays = {
        "losses": Array(answer.feedback.losses.numpy()),
        "gradients": pack_array(gradients),
        "scales": Array(scales),
    }
    metrics: dict[str, float] = {
        "discriminator-loss": answer.discriminator_loss,
        "busy-seconds": effort.busy_seconds,
        "compute-seconds": effort.compute_seconds,
        "peak-memory-mib": effort.peak_memory_mib,
    }
    content = RecordDict({"feedback": ArrayRecord(arrays), "metrics": MetricRecord(dict(metrics))})
    if answer.weights is not None:
        content[DISCRIMINATOR] = write_parameters(answer.weights)
    if answer.change is not None:
        content["change"] = ArrayRecord({"entries": pack_array(answer.change.numpy().view(np.uint8))})
    return content


def read_answer(
    content: RecordDict, shape: BundleShape, weights: ParameterShapes | None = None, entries: int = 0
) -> tuple[Answer, Effort]:
    """Read what :func:`write_answer` wrote; raises ProtocolError.

    It brings a discriminator of that form if there is one, and a change of so many entries if there are any.
    """
    check_names(
        content,
        {
            "feedback": (ArrayRecord, {"losses", "gradients", "scales"}),
            "metrics": (MetricRecord, {*_METRICS}),
            **({DISCRIMINATOR: (ArrayRecord, set(weights))} if weights is not None else {}),
            **({"change": (ArrayRecord, {"entries"})} if entries else {}),
        },
    )
    metrics = content.metric_records["metrics"]
    numbers = {key: read_value(metrics, key, float) for key in _METRICS}
    for key, (low, high) in _METRICS.items():
        if not low <= numbers[key] <= high:
            raise ProtocolError(f"'{key}' is {numbers[key]}, not finite and in {low:g} .. {high:g}")
    answer = Answer(
        _read_feedback(content.array_records["feedback"], shape),
        numbers["discriminator-loss"],
        None if weights is None else read_parameters(content.array_records[DISCRIMINATOR], weights),
        torch.from_numpy(read_change(content.array_records["change"]["entries"], entries)) if entries else None,
    )
    return answer, Effort(numbers["busy-seconds"], numbers["compute-seconds"], numbers["peak-memory-mib"])


def _read_feedback(record: ArrayRecord, shape: BundleShape) -> Feedback:
    gradients = read_packed(record["gradients"], shape.feedback_format, shape.gradients)
    judged = shape.gradients[:1]
    scales = read_array(record["scales"], "float32", judged).astype(np.float32)
    full = FULL_SCALE.get(shape.feedback_format, math.inf)
    if scales.min(initial=0) < 0 or gradients.max(initial=0) > full or gradients.min(initial=0) < -full:
        raise ProtocolError(f"gradients beyond {full:g}, or negative scales")
    if not np.isfinite(largest_decoded(gradients, scales)).all():
        raise ProtocolError("gradients that are not finite once they are multiplied by their scales")
    losses = read_array(record["losses"], "float32", judged).astype(np.float32)
    return Feedback(torch.from_numpy(losses), decode_gradients(gradients, scales))
