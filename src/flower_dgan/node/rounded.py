"""Figures of real images, and of the machine, so coarse that they tell little of one image."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flower_dgan.config import TrainingConfig
from flower_dgan.gan.exchange import Answer
from flower_dgan.wire.answer_message import Effort

_LOSS = 0.1
_SMALLEST = 2.0**-4  # seconds, or MiB

UNTOLD = Effort(_SMALLEST, _SMALLEST, _SMALLEST)
"""What is said of an answer whose cost would tell how many patients there are: always the same."""


def rounded(answer: Answer, effort: Effort, config: TrainingConfig) -> tuple[Answer, Effort]:
    """Return an answer with the discriminator's loss to a tenth, and what it cost as the next power of two.

    The loss is of real and synthetic images together, and time and memory follow the sizes of real ones. Where the
    training multiplies a part of the loss by a weight above 1, it is rounded to as many times a tenth.
    """
    step = step_of(config)
    costs = (effort.busy_seconds, effort.compute_seconds, effort.peak_memory_mib)
    return replace(answer, discriminator_loss=_to(step, answer.discriminator_loss)), Effort(*map(_bucket, costs))


def step_of(config: TrainingConfig) -> float:
    """Return what the discriminator's loss is rounded to multiples of."""
    return _LOSS * max(1.0, config.algorithm.discriminator_weight, config.algorithm.gradient_penalty)


def is_untold(metrics: Mapping[str, Any]) -> bool:
    """Return whether the figures of an answer, as they travel, say nothing of what it cost."""
    keys = ("busy-seconds", "compute-seconds", "peak-memory-mib")
    return Effort(*(float(metrics[key]) for key in keys)) == UNTOLD


def are_rounded(metrics: Mapping[str, Any], config: TrainingConfig) -> bool:
    """Return whether the figures of an answer, as they travel, are such."""
    loss, *costs = (
        float(metrics[key]) for key in ("discriminator-loss", "busy-seconds", "compute-seconds", "peak-memory-mib")
    )
    return loss == _to(step_of(config), loss) and all(cost == _bucket(cost) for cost in costs)


def _to(step: float, value: float) -> float:
    return round(value / step) * step if math.isfinite(value) else value


def _bucket(value: float) -> float:
    return 2.0 ** math.ceil(math.log2(max(value, _SMALLEST)))
