"""What all algorithms have in common: losses, optimizers, and how the generator uses feedback.

Each algorithm's own settings are a dataclass in its own file, see ``flower_dgan.algorithms``.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from flower_dgan.config.data_settings import PICTURED, DataConfig
from flower_dgan.config.model import ModelConfig
from flower_dgan.config.ranges import (
    Because,
    Decay,
    Fraction,
    NonNegative,
    Passes,
    Positive,
    PositiveFraction,
    Steps,
    Text,
)
from flower_dgan.errors import ConfigError, FederationError

LossName = Literal["bce", "minimax", "least-squares", "hinge", "wasserstein"]
ReplayName = Literal["gradient", "target", "moved"]
MergeName = Literal["samples", "equal", "agreement"]

_SMALLEST_PICTURE = 8
_FEWEST_TO_AGREE = 3  # of two that contradict each other either may be right


@dataclass(frozen=True, kw_only=True)
class AlgorithmSettings:
    """Losses, weights and optimizers.

    Attributes
    ----------
    name : str
        The algorithm, see ``flower_dgan.algorithms``, or the import path of one of the user's own.
    loss : str
        Adversarial loss, see ``flower_dgan.gan.losses``.
    largest_share : float
        Largest weight that the share of the images gives one client where there are three or more, in (0, 1]; what is
        cut off goes to the others. The number of images is a client's own claim. 1 for no bound.
    replay : {"gradient", "target", "moved"}
        How the generator uses feedback on images that it made some steps ago: the gradient as it came; as a target
        image to approach; or the client moves the images while its discriminator learns, and the generator approaches
        where they came to. See ``flower_dgan.gan.replay``.
    target_step : float
        For ``target``: root mean square distance of the target from the image, in units of [-1, 1]. For ``moved``: of
        one move, in units of the site's standard deviation where ``model.levels=site``.
    passes : int
        For ``moved``: how often a client goes through a bundle, and the generator through the answer. 1 for the others.
    diversity : float
        Not for ``gradient``: how far the colours of two draws on one label map are pushed apart; 0 for not.
    gradient_penalty : float
        gamma of R1 on real images, see :func:`flower_dgan.gan.discriminator.gradient_penalty`; 0 for none.
    final_rate : float
        Factor of the generator's learning rate, target step and diversity in the last round; it falls over the second
        half. 1 for no change.
    generator_weight, discriminator_weight : float
        Factors lambda_G and lambda_D of the whole losses.
    discriminator_steps : int
        Optimizer steps of the discriminator for each synthetic batch.
    generator_learning_rate, discriminator_learning_rate : float
        Adam's learning rates.
    betas : tuple of two floats
        Adam's decay rates, for both networks.
    average_decay : float
        Decay of the moving average of the generator's parameters that draws the results; 0 for none.
    """

    name: Text
    loss: LossName
    largest_share: Annotated[PositiveFraction, Because("1 is no bound")]
    replay: ReplayName
    target_step: NonNegative
    passes: Passes
    diversity: NonNegative
    gradient_penalty: NonNegative
    final_rate: Annotated[Fraction, Because("1 is no change over the rounds")]
    generator_weight: Positive
    discriminator_weight: Positive
    discriminator_steps: Steps
    generator_learning_rate: Positive
    discriminator_learning_rate: Positive
    betas: tuple[Decay, Decay]
    average_decay: Annotated[Decay, Because("0 is no average")]


@dataclass(frozen=True, kw_only=True)
class MergeSettings:
    """How the gradients of the clients are added up.

    Attributes
    ----------
    merge : {"samples", "equal", "agreement"}
        With the share of the images as weights; with the same for all; or the same for all but those that contradict
        the others, see ``flower_dgan.gan.merge``.
    """

    merge: MergeName

    def check_merge(self, model: ModelConfig) -> None:
        """Raise ConfigError if the rule cannot compare the gradients of this generator."""
        if self.merge == "agreement" and model.fuses:
            raise ConfigError(
                "algorithm.merge=agreement compares the clients' gradients, and with "
                f"model.generator={model.generator} those are about sub-generators of their own: set "
                "algorithm.merge=samples or equal."
            )

    def require_clients(self, clients: int) -> None:
        """Raise FederationError if a training has too few clients for the rule."""
        if self.merge == "agreement" and clients < _FEWEST_TO_AGREE:
            raise FederationError(
                f"algorithm.merge=agreement needs at least {_FEWEST_TO_AGREE} clients, and there are {clients}: wait "
                "for more with exchange.min_nodes, or set algorithm.merge=equal."
            )


@dataclass(frozen=True, kw_only=True)
class PixelSettings:
    """Losses that read the real image: 0 unless the owner of the node allows them.

    Attributes
    ----------
    l1_weight, perceptual_weight : float
        lambda_1 and lambda_p.
    """

    l1_weight: NonNegative
    perceptual_weight: NonNegative

    @property
    def reads_pixels(self) -> bool:
        """Whether any of them is used."""
        return self.l1_weight > 0 or self.perceptual_weight > 0


def require_pictures(setting: str, weight: float, data: DataConfig) -> None:
    """Raise ConfigError if a weight of what VGG-16 compares is set for images that it does not see."""
    if weight and data.channels not in PICTURED:
        raise ConfigError(
            f"algorithm.{setting} compares what VGG-16 sees in grey or RGB images, and data.channels={data.channels}: "
            f"set algorithm.{setting}=0."
        )
    if weight and data.image_size < _SMALLEST_PICTURE:
        raise ConfigError(
            f"algorithm.{setting} wants data.image_size={_SMALLEST_PICTURE} or more, as VGG-16 halves the side three "
            f"times, and not {data.image_size}: set algorithm.{setting}=0, or a larger size."
        )
