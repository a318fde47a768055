"""How much memory a step of a network will take, found without taking it: on torch's ``meta`` device."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flower_dgan.config import TrainingConfig
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator

_MIB = 2**20


@dataclass(frozen=True)
class Footprint:
    """Of one network in a training.

    Attributes
    ----------
    parameters : int
        How many it has.
    state : int
        Bytes of them with their gradients and what is kept of each.
    step : int or None
        Bytes of what a forward pass keeps for its backward pass; None where the network cannot be tried on ``meta``.
    """

    parameters: int
    state: int
    step: int | None

    def __str__(self) -> str:
        """Say it in words."""
        step = "a step not known" if self.step is None else f"a step {self.step / _MIB:,.1f} MiB"
        return f"{self.parameters:,} parameters, state {self.state / _MIB:,.1f} MiB, {step}"


def generator_footprint(config: TrainingConfig, shape: ImageShape) -> Footprint:
    """Return that of the generator, for the images of one client in one step; beside Adam there is its average."""
    exchange, model = config.exchange, config.model
    samples, side = exchange.exchanges * exchange.batch_size // exchange.generator_steps, shape.image_size
    with torch.device("meta"):
        network = build_generator(model, shape)
        inputs = GeneratorInput(
            torch.zeros(samples, shape.classes, side, side),
            torch.zeros(samples, model.noise_channels),
            torch.zeros(samples, 1, side, side),
            torch.zeros(samples, dtype=torch.long),
        )
    return _footprint(network, 5, lambda: network(inputs))


def discriminator_footprint(config: TrainingConfig, shape: ImageShape) -> Footprint:
    """Return that of a client's discriminator, for a batch of real images and one of synthetic ones."""
    samples, side = 2 * config.exchange.batch_size, shape.image_size
    with torch.device("meta"):
        network = build_discriminator(config.model, shape)
        label_maps, images = (torch.zeros(samples, count, side, side) for count in (shape.classes, shape.channels))
    return _footprint(network, 4, lambda: network(label_maps, images))


def saved_bytes(network: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Return the bytes that a forward pass keeps for the backward pass, beside the network's own parameters."""
    own = {each.untyped_storage()._cdata for each in (*network.parameters(), *network.buffers())}
    kept: dict[int, Tensor] = {}  # the tensors themselves, so that no address is given twice

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(each.untyped_storage().nbytes() for place, each in kept.items() if place not in own)


def _footprint(network: nn.Module, copies: int, forward: Callable[[], Tensor]) -> Footprint:
    sizes = [each.numel() * each.element_size() for each in network.parameters()]
    try:
        step = saved_bytes(network, forward)
    except (NotImplementedError, RuntimeError):  # it looks at numbers, of which there are none
        step = None
    return Footprint(sum(each.numel() for each in network.parameters()), copies * sum(sizes), step)
