"""The server's half: what the clients answered becomes steps of G, and G's moving average follows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flower_dgan.data.channels import Channels, held
from flower_dgan.gan.exchange import GeneratorInput

from .settings import Settings

Remind = Callable[[nn.Module, int], Tensor]
"""TDGAN's reminding loss of G in its step of that number, from 0."""


@dataclass
class Generator:
    """G with its optimizer, its moving average, and the number of steps that it has done."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module
    steps_done: int = 0


@dataclass(frozen=True)
class Answered:
    """A bundle with the answer: inputs, the images x~ as G made them, g in the client's channels, its deviation."""

    inputs: GeneratorInput
    images: Tensor
    gradients: Tensor
    channels: Channels = None
    deviation: Tensor | float = 1.0


def draw(generator: Generator, inputs: GeneratorInput) -> Tensor:
    """Return x~ = G(y, z)."""
    with torch.no_grad():
        images: Tensor = generator.network(inputs)
    return images


def rate_of(round_number: int, settings: Settings) -> float:
    """Return the factor of G's rates: 1 up to half of the rounds, then on a line to ``final_rate`` in the last."""
    half = settings.rounds / 2
    if round_number <= half:
        return 1.0
    return 1.0 - (1.0 - settings.final_rate) * (round_number - half) / half


def learn(
    generator: Generator,
    answers: Sequence[Answered],
    weights: Sequence[float],
    settings: Settings,
    round_number: int,
    remind: Remind | None = None,
) -> None:
    """Step G: the gradient of step t is sum_k w_k mean_i J_G(y_ki, z_ki)^T d_ki over the t-th part of every bundle.

    A parameter that drew none of the images, as that of another client's sub-generator, has no gradient in it and stays
    as it is, which Adam would move on if its gradient were 0.
    """
    rate = rate_of(round_number, settings)
    for group in generator.optimizer.param_groups:
        group["lr"] = settings.generator_learning_rate * rate
    size = len(answers[0].inputs) // settings.generator_steps
    for number in range(settings.generator_steps * settings.passes):
        step = number % settings.generator_steps
        part = slice(step * size, (step + 1) * size)
        generator.optimizer.zero_grad(set_to_none=True)
        for answered, weight in zip(answers, weights, strict=True):
            images = generator.network(answered.inputs[part])[:, held(answered.channels)]
            direction = _direction(generator, images.detach(), answered, part, rate, settings)
            images.backward(direction * (weight / size))
        if remind is not None:
            remind(generator.network, generator.steps_done).backward()
        generator.optimizer.step()
        _follow(generator, settings.average_decay)


def _direction(
    generator: Generator, images: Tensor, answered: Answered, part: slice, rate: float, settings: Settings
) -> Tensor:
    """Return d: the gradient as it came, or the way from the image to its target, away from another draw's colours.

    The target is one step of length ``rate`` eta, in root mean square over the bundle, from the image that was sent.
    """
    if not settings.regresses:
        return answered.gradients[part]
    target = answered.images[part][:, held(answered.channels)] - target_steps(answered, settings, rate)[part]
    way = (images - target) / (answered.deviation**2 if settings.moved else 1.0)
    if settings.diversity:
        inputs = answered.inputs[part]
        opposite = GeneratorInput(inputs.label_maps, -inputs.noise, inputs.texture, inputs.sites)
        other = draw(generator, opposite)[:, held(answered.channels)]
        unit = answered.deviation
        way = way - rate * settings.diversity * apart((images - other) / unit, torch.zeros_like(images)) / unit
    return way


def target_steps(answered: Answered, settings: Settings, rate: float) -> Tensor:
    """Return rate eta g / rms(g) of a whole bundle, 0 where g is; where the client moved the images, g as it is."""
    if settings.moved or not settings.regresses:
        return answered.gradients
    exact = answered.gradients.double()
    size = float((exact**2).mean() ** 0.5)
    return (exact * (rate * settings.target_step / size if size else 0.0)).float()


def apart(images: Tensor, other: Tensor) -> Tensor:
    """Return, for images of which others were drawn on the same label maps, +1, -1 or 0 in each block and channel.

    Of 4 x 4 blocks, each a quarter of the image wide: the sign of the difference of the mean colours, so that a step
    along it takes the image further from the other; 0 where the two already differ by 0.2 on the mean over all blocks.
    """
    way = torch.zeros_like(images)
    side = images.shape[-1] // 4
    for sample in range(len(images)):
        blocks = [
            (channel, slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
            for channel in range(images.shape[1])
            for row in range(4)
            for column in range(4)
        ]
        differences = [images[sample][block].sub(other[sample][block]).mean() for block in blocks]
        if float(torch.stack(differences).abs().mean()) < 0.2:
            for block, difference in zip(blocks, differences, strict=True):
                way[sample][block] = difference.sign()
    return way


def _follow(generator: Generator, decay: float) -> None:
    """Average: a <- b a + (1 - b) theta with b the decay, but (1 + t) / (10 + t) where that is less, t from 0."""
    keep = min(decay, (1 + generator.steps_done) / (10 + generator.steps_done))
    generator.steps_done += 1
    with torch.no_grad():
        for mean, parameter in zip(generator.average.parameters(), generator.network.parameters(), strict=True):
            mean.copy_(keep * mean + (1 - keep) * parameter)
