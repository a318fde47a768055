"""The numbers that the loops need, read from a configuration in one place."""

from dataclasses import dataclass
from typing import Any

from flower_dgan.config import TrainingConfig
from flower_dgan.gan.bundle import BundleSettings
from flower_dgan.gan.losses import LOSSES, AdversarialLoss


@dataclass(frozen=True)
class Settings:
    """Plain numbers.

    Attributes
    ----------
    rounds, exchanges, generator_steps, batch_size : int
        Messages a client, batches a message (S), generator steps a message, samples a batch (B).
    image_format, feedback_format : str
        Number formats on the wire.
    image_size, augmentation, seed
        Of the views and of all draws.
    loss : AdversarialLoss
        The one thing that is shared with the product.
    merge : str
        How the clients' feedback becomes one.
    largest_share, sharpness : float
        Bound of a client's weight, and GMAN's lambda.
    one_by_one : bool
        Whether a round asks one client alone.
    shared_batches, separate_batches, swap_interval
        MD-GAN's k, whether D is trained on another batch than it judges, and E in rounds.
    upload, upload_share, upload_threshold
        Distributed-GAN's first way.
    reminding_l1_weight, reminding_perceptual_weight : float
        TDGAN's lambda_1 and lambda_p.
    regresses, moved : bool
        Whether G approaches target images, instead of stepping along the gradient; and whether these are where the
        client has moved the images to.
    target_step, diversity : float
        eta, and how far two draws are pushed apart; both for target images.
    passes : int
        How often client and generator go through a bundle.
    gradient_penalty : float
        gamma of R1.
    levels : bool
        Whether all is in units of each site's mean and deviation.
    final_rate : float
        Factor of G's rates in the last round.
    generator_weight, discriminator_weight, l1_weight, perceptual_weight : float
        lambda_G, lambda_D and those of the distances to the real image.
    discriminator_steps : int
        Steps of D a batch.
    generator_learning_rate, discriminator_learning_rate, betas
        Adam's.
    average_decay : float
        Of the moving average of G.
    drawn : BundleSettings
        What the draws, which are handed in, are asked for.
    """

    rounds: int
    exchanges: int
    generator_steps: int
    batch_size: int
    image_format: str
    feedback_format: str
    image_size: int
    augmentation: Any
    seed: int
    loss: AdversarialLoss
    merge: str
    largest_share: float
    sharpness: float
    one_by_one: bool
    shared_batches: int
    separate_batches: bool
    swap_interval: int
    upload: str
    upload_share: float
    upload_threshold: float
    reminding_l1_weight: float
    reminding_perceptual_weight: float
    regresses: bool
    moved: bool
    target_step: float
    diversity: float
    passes: int
    gradient_penalty: float
    levels: bool
    final_rate: float
    generator_weight: float
    discriminator_weight: float
    l1_weight: float
    perceptual_weight: float
    discriminator_steps: int
    generator_learning_rate: float
    discriminator_learning_rate: float
    betas: tuple[float, float]
    average_decay: float
    drawn: BundleSettings


JUDGED_TOGETHER = ("uagan", "gman", "dgan-average", "dgan-selective")
"""Algorithms whose clients all judge the same images."""


def settings_of(config: TrainingConfig) -> Settings:
    """Return them; a setting that an algorithm does not have is one that is off."""
    exchange, data, algorithm = config.exchange, config.data, config.algorithm

    def optional(name: str, off: Any) -> Any:
        return getattr(algorithm, name, off)

    # nothing that a discriminator sees has other colours than it has
    geometry = {"colour": "none", "all": "rotations"}.get(data.augmentation, data.augmentation)
    return Settings(
        rounds=exchange.rounds,
        exchanges=exchange.exchanges,
        generator_steps=exchange.generator_steps,
        batch_size=exchange.batch_size,
        image_format=exchange.image_format,
        feedback_format=exchange.feedback_format,
        image_size=data.image_size,
        augmentation=geometry,
        seed=config.seed,
        loss=LOSSES[algorithm.loss],
        merge={"gman": "softmax", "dgan-average": "average"}.get(algorithm.name) or optional("merge", "equal"),
        largest_share=optional("largest_share", 1.0),
        sharpness=optional("sharpness", 0.0),
        one_by_one=algorithm.name == "dgan-sequential",
        shared_batches=1 if algorithm.name in JUDGED_TOGETHER else optional("shared_batches", 0),
        separate_batches=algorithm.name == "mdgan",
        swap_interval=optional("swap_interval", 0),
        upload=optional("upload", "none"),
        upload_share=optional("upload_share", 1.0),
        upload_threshold=optional("upload_threshold", 0.0),
        reminding_l1_weight=optional("reminding_l1_weight", 0.0),
        reminding_perceptual_weight=optional("reminding_perceptual_weight", 0.0),
        regresses=algorithm.replay != "gradient",
        moved=algorithm.replay == "moved",
        target_step=optional("target_step", 0.0),
        diversity=optional("diversity", 0.0),
        passes=algorithm.passes,
        gradient_penalty=algorithm.gradient_penalty,
        levels=config.model.levels == "site",
        final_rate=algorithm.final_rate,
        generator_weight=algorithm.generator_weight,
        discriminator_weight=algorithm.discriminator_weight,
        l1_weight=optional("l1_weight", 0.0),
        perceptual_weight=optional("perceptual_weight", 0.0),
        discriminator_steps=algorithm.discriminator_steps,
        generator_learning_rate=algorithm.generator_learning_rate,
        discriminator_learning_rate=algorithm.discriminator_learning_rate,
        betas=algorithm.betas,
        average_decay=algorithm.average_decay,
        drawn=BundleSettings(
            exchanges=exchange.exchanges,
            batch_size=exchange.batch_size,
            image_size=data.image_size,
            augmentation=geometry,
            noise_channels=config.model.noise_channels,
            seed=config.seed,
            largest_share=optional("largest_share", 1.0),
            foreground=data.foreground_windows if data.condition == "label-map" else 0.0,
        ),
    )
