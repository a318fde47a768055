"""What all algorithms have in common: losses, optimizers, and how the generator uses feedback.

Each algorithm's own settings are a dataclass in its own file, see ``flower_dgan.algorithms``.
"""

from dataclasses import dataclass
from typing import Literal

from flower_dgan.config.model import ModelConfig
from flower_dgan.errors import ConfigError, FederationError

LossName = Literal["bce", "minimax", "least-squares", "hinge", "wasserstein"]
ReplayName = Literal["gradient", "target"]
MergeName = Literal["samples", "equal", "agreement"]

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
    replay : {"gradient", "target"}
        How the generator uses feedback on images that it made some steps ago: the gradient as it came, or as a target
        image to approach, see ``flower_dgan.gan.replay``.
    target_step : float
        For ``target``: root mean square distance of the target from the image, in units of [-1, 1].
    diversity : float
        For ``target``: how far the colours of two draws on one label map are pushed apart; 0 for not.
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

    name: str
    loss: LossName
    largest_share: float
    replay: ReplayName
    target_step: float
    diversity: float
    final_rate: float
    generator_weight: float
    discriminator_weight: float
    discriminator_steps: int
    generator_learning_rate: float
    discriminator_learning_rate: float
    betas: tuple[float, float]
    average_decay: float


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

    l1_weight: float
    perceptual_weight: float

    @property
    def reads_pixels(self) -> bool:
        """Whether any of them is used."""
        return self.l1_weight > 0 or self.perceptual_weight > 0


def require_pictures(setting: str, weight: float, channels: int) -> None:
    """Raise ConfigError if a weight of what VGG-16 compares is set for images that it does not see: grey or RGB."""
    if weight and channels not in (1, 3):
        raise ConfigError(
            f"algorithm.{setting} compares what VGG-16 sees in grey or RGB images, and data.channels={channels}: set "
            f"algorithm.{setting}=0."
        )
