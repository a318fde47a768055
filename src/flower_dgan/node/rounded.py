"""Figures of real images, and of the machine, so coarse that they tell little of one image."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flower_dgan.gan.exchange import Answer
from flower_dgan.wire.answer_message import Effort

_LOSS = 0.1
_SMALLEST = 2.0**-4  # seconds, or MiB


def rounded(answer: Answer, effort: Effort) -> tuple[Answer, Effort]:
    """Return an answer with the discriminator's loss to a tenth, and what it cost as the next power of two.

    The loss is of real and synthetic images together, and time and memory follow the sizes of real ones.
    """
    costs = (effort.busy_seconds, effort.compute_seconds, effort.peak_memory_mib)
    return replace(answer, discriminator_loss=_tenth(answer.discriminator_loss)), Effort(*map(_bucket, costs))


def are_rounded(metrics: Mapping[str, Any]) -> bool:
    """Return whether the figures of an answer, as they travel, are such."""
    loss, *costs = (
        float(metrics[key]) for key in ("discriminator-loss", "busy-seconds", "compute-seconds", "peak-memory-mib")
    )
    return loss == _tenth(loss) and all(cost == _bucket(cost) for cost in costs)


def _tenth(value: float) -> float:
    return round(value / _LOSS) * _LOSS if math.isfinite(value) else value


def _bucket(value: float) -> float:
    return 2.0 ** math.ceil(math.log2(max(value, _SMALLEST)))
