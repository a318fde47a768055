"""Images of a generator, and whether it is still finite."""

import torch
from torch import Tensor, nn

from flower_dgan.device import device_of, to_cpu
from flower_dgan.errors import DivergedError
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.placing import compute

AT_A_TIME = 64
"""Samples of one pass, of one client or more."""

NOT_FINITE = (
    "The generator's {} not finite: its steps are too large. Lower algorithm.generator_learning_rate or "
    "algorithm.generator_weight, and begin a new training. The checkpoints are from before and are kept."
)


@torch.no_grad()
def draw(network: nn.Module, inputs: GeneratorInput, batch_size: int = AT_A_TIME) -> Tensor:
    """Return the images (samples, channels, height, width) of a generator, on the CPU, drawn ``batch_size`` at a time.

    Raises
    ------
    DivergedError
        If they are not finite: as uint8 nobody would see it.
    """
    device, starts = device_of(network), range(0, len(inputs), batch_size)
    parts = [to_cpu(compute(network, inputs[start : start + batch_size].to(device))) for start in starts]
    return only_finite(torch.cat(parts))


def only_finite(images: Tensor) -> Tensor:
    """Return the images; raise DivergedError if they are not finite."""
    if not images.isfinite().all():
        raise DivergedError(NOT_FINITE.format("images are"))
    return images


def is_finite(network: nn.Module) -> bool:
    """Return whether all that a network has learned is finite; its device is asked once."""
    return bool(torch.stack([value.isfinite().all() for value in network.state_dict().values()]).all())
