"""The envelope: what a training may choose, as a small closed set of named things with bounds that its owner set."""

from dataclasses import dataclass, fields
from typing import Annotated

import torch
from annotated_types import Interval

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.config.ranges import Decay, NonNegative, Side, Size, Steps
from flower_dgan.errors import PolicyError
from flower_dgan.networks.build import ImageShape, build_discriminator

_MOST_CLASSES = 256
_BYTES_A_PARAMETER = 16  # itself, its gradient, and Adam's two moments
_BYTES_A_CLASS = 4  # of a pixel: label maps are one-hot in float32
_FEWEST_CLASSES = 2
_BYTES_A_VALUE = 8  # of an image, and of its gradient
_MIB = 2**20


@dataclass(frozen=True)
class Bounds:
    """How far the settings of a training may go; without a word they may go anywhere.

    They are hurdles: settings beyond them were seen to write real images into what leaves a node, or to fill it. What
    is within them is not proven to be harmless.

    Attributes
    ----------
    image_size, batch_size : tuple of two ints
        Least and most of ``data.image_size`` in pixels, and of ``exchange.batch_size``.
    discriminators : tuple of str
        Which networks ``model.discriminator`` may name; empty for any.
    loss_weights : tuple of two floats
        Least and most of ``algorithm.discriminator_weight`` and ``algorithm.generator_weight``. Adam with a loss far
        below its epsilon takes plain gradient steps, which write real pixels into the first layer.
    learning_rate : tuple of two floats
        Of ``algorithm.discriminator_learning_rate``.
    second_decay : float
        Least of the second of ``algorithm.betas``. With 0 each step of Adam is a sign, and tells of that step alone.
    gradient_penalty : float
        Most of ``algorithm.gradient_penalty``.
    rounds : int
        Most of ``exchange.rounds``.
    steps_a_message : int
        Most steps of the discriminator that a message may ask for: exchanges times passes times
        ``algorithm.discriminator_steps``.
    memory_mib : int
        Most MiB of a discriminator with what Adam keeps of it, and of the images of a message with their gradients and
        label maps.
    """

    image_size: tuple[Side, Side] = (1, 32_767)
    batch_size: tuple[Size, Size] = (1, 65_536)
    discriminators: tuple[str, ...] = ()
    loss_weights: tuple[NonNegative, NonNegative] = (0.0, 1e9)
    learning_rate: tuple[NonNegative, NonNegative] = (0.0, 1e9)
    second_decay: Decay = 0.0
    gradient_penalty: NonNegative = 1e9
    rounds: Steps = 10**9
    steps_a_message: Steps = 10**9
    memory_mib: Annotated[int, Interval(ge=1, le=10**9)] = 10**9

    def check(self, config: TrainingConfig) -> None:
        """Raise PolicyError, which names the bound, if settings are beyond one; takes no memory for a network."""
        algorithm = config.algorithm
        self._within("image_size", config.data.image_size, "data.image_size")
        self._within("batch_size", config.exchange.batch_size, "exchange.batch_size")
        for setting in ("discriminator_weight", "generator_weight"):
            self._within("loss_weights", getattr(algorithm, setting), f"algorithm.{setting}")
        rate = algorithm.discriminator_learning_rate
        self._within("learning_rate", rate, "algorithm.discriminator_learning_rate")
        network = config.model.discriminator
        bound = self.discriminators and not algorithm_of(config).releases.private  # noise hides what a layer holds
        if bound and network not in self.discriminators:
            raise _beyond("discriminators", f"model.discriminator={network}", ", ".join(self.discriminators))
        if (decay := algorithm.betas[1]) < self.second_decay:
            raise _beyond("second_decay", f"the second of algorithm.betas, {decay}", f"at least {self.second_decay}")
        steps = config.exchange.exchanges * algorithm.passes * algorithm.discriminator_steps
        for name, value, what in (
            ("gradient_penalty", algorithm.gradient_penalty, "algorithm.gradient_penalty"),
            ("rounds", config.exchange.rounds, "exchange.rounds"),
            ("steps_a_message", steps, "exchanges x passes x algorithm.discriminator_steps"),
        ):
            if value > (most := getattr(self, name)):
                raise _beyond(name, f"{what}={value}", f"at most {most}")
        if self.memory_mib < 10**9 and (needed := memory_mib(config)) > self.memory_mib:
            raise _beyond("memory_mib", f"a training that takes {needed:.0f} MiB", f"at most {self.memory_mib}")

    def _within(self, name: str, value: float, setting: str) -> None:
        least, most = getattr(self, name)
        if not least <= value <= most:
            raise _beyond(name, f"{setting}={value}", f"{least} to {most}")

    def words(self) -> list[str]:
        """Return a line for each bound that binds."""
        free = Bounds()
        bound = (each.name for each in fields(self) if getattr(self, each.name) != getattr(free, each.name))
        return [f"{name}: {getattr(self, name)}" for name in bound]


def memory_mib(config: TrainingConfig) -> float:
    """Return how many MiB a training takes at a node for what its settings choose, before any of it is taken."""
    data, exchange = config.data, config.exchange
    pixels = exchange.exchanges * exchange.batch_size * data.image_size**2
    classes = data.classes or _FEWEST_CLASSES  # where no training says it, they are those of the owner's own data
    one_hot = _BYTES_A_CLASS * classes * pixels
    return (_BYTES_A_PARAMETER * parameters_of(config) + _BYTES_A_VALUE * data.channels * pixels + one_hot) / _MIB


def parameters_of(config: TrainingConfig) -> int:
    """Return how many parameters the discriminator of a training has, without taking memory for them."""
    data = config.data
    with torch.device("meta"):
        shape = ImageShape(data.classes or _MOST_CLASSES, data.channels, data.image_size, ())
        network = build_discriminator(config.model, shape)
    return sum(each.numel() for each in network.parameters())


def _beyond(rule: str, found: str, allowed: str) -> PolicyError:
    return PolicyError(rule, f"This node's policy does not allow {found} ({rule}: {allowed}).")
