"""What a node answers in a round."""

import math
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.errors import ProtocolError
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.formats import FULL_SCALE, largest_decoded
from flower_dgan.wire.parameters import (
    DISCRIMINATOR,
    EMPTY,
    Parameters,
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
class FeedbackMessage:
    """A node's answer to :class:`~flower_dgan.wire.bundle_message.BundleMessage`.

    Attributes
    ----------
    losses : array, float32, (samples,)
        Generator losses, or scores.
    gradients : array, (samples, channels, height, width)
        In the wire's format.
    scales : array, float32, (samples,)
        One a sample, see ``wire.formats``.
    discriminator_loss : float
        Mean over the bundle's batches.
    busy_seconds : float
        Time that the node spent on the message.
    compute_seconds : float
        Of these, stepping the discriminator and differentiating its loss.
    peak_memory_mib : float
        Largest resident memory of the node's process so far.
    discriminator : Parameters or None
        The node's, where the server asked for it and the policy allows it.
    change : array, float32, (entries,)
        What the node uploads of the change of the server's discriminator, 0 where it uploads nothing; empty where there
        is no such. It travels deflated: one with a tenth of its entries as less than a fifth of its bytes.
    """

    losses: NDArray[np.float32]
    gradients: NDArray[np.generic]
    scales: NDArray[np.float32]
    discriminator_loss: float
    busy_seconds: float
    compute_seconds: float
    peak_memory_mib: float
    discriminator: Parameters | None = None
    change: NDArray[np.float32] = field(default_factory=lambda: EMPTY)

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        arrays = {"losses": Array(self.losses), "gradients": pack_array(self.gradients), "scales": Array(self.scales)}
        metrics: dict[str, float] = {
            "discriminator-loss": self.discriminator_loss,
            "busy-seconds": self.busy_seconds,
            "compute-seconds": self.compute_seconds,
            "peak-memory-mib": self.peak_memory_mib,
        }
        content = RecordDict({"feedback": ArrayRecord(arrays), "metrics": MetricRecord(dict(metrics))})
        if self.discriminator is not None:
            content[DISCRIMINATOR] = write_parameters(self.discriminator)
        if len(self.change):
            content["change"] = ArrayRecord({"entries": pack_array(self.change.view(np.uint8))})
        return content

    @classmethod
    def from_records(
        cls,
        content: RecordDict,
        shape: BundleShape,
        discriminator: ParameterShapes | None = None,
        entries: int = 0,
    ) -> "FeedbackMessage":
        """Read the message; raises ProtocolError.

        It brings a discriminator of that form if there is one, and a change of so many entries if there are any.
        """
        check_names(
            content,
            {
                "feedback": (ArrayRecord, {"losses", "gradients", "scales"}),
                "metrics": (MetricRecord, {*_METRICS}),
                **({DISCRIMINATOR: (ArrayRecord, set(discriminator))} if discriminator is not None else {}),
                **({"change": (ArrayRecord, {"entries"})} if entries else {}),
            },
        )
        arrays, metrics = content.array_records["feedback"], content.metric_records["metrics"]
        numbers = {key: read_value(metrics, key, float) for key in _METRICS}
        for key, (low, high) in _METRICS.items():
            if not low <= numbers[key] <= high:
                raise ProtocolError(f"'{key}' is {numbers[key]}, not finite and in {low:g} .. {high:g}")
        gradients = read_packed(arrays["gradients"], shape.feedback_format, shape.gradients)
        judged = shape.gradients[:1]
        scales = read_array(arrays["scales"], "float32", judged).astype(np.float32)
        full = FULL_SCALE.get(shape.feedback_format, math.inf)
        if scales.min(initial=0) < 0 or gradients.max(initial=0) > full or gradients.min(initial=0) < -full:
            raise ProtocolError(f"gradients beyond {full:g}, or negative scales")
        if not np.isfinite(largest_decoded(gradients, scales)).all():
            raise ProtocolError("gradients that are not finite once they are multiplied by their scales")
        return cls(
            losses=read_array(arrays["losses"], "float32", judged).astype(np.float32),
            gradients=gradients,
            scales=scales,
            discriminator_loss=numbers["discriminator-loss"],
            busy_seconds=numbers["busy-seconds"],
            compute_seconds=numbers["compute-seconds"],
            peak_memory_mib=numbers["peak-memory-mib"],
            discriminator=None
            if discriminator is None
            else read_parameters(content.array_records[DISCRIMINATOR], discriminator),
            change=read_change(content.array_records["change"]["entries"], entries) if entries else EMPTY,
        )
