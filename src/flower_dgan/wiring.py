"""Names become objects: networks, losses and halves of the algorithm from a configuration."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from flower_dgan.algorithm.bundle import BundleSettings, ClientLabels
from flower_dgan.algorithm.discriminator import DiscriminatorHalf, PixelLosses
from flower_dgan.algorithm.generator import GeneratorHalf
from flower_dgan.algorithm.losses import LOSSES
from flower_dgan.algorithm.merge import merge_rule
from flower_dgan.algorithm.perceptual import pretrained_perceptual_loss
from flower_dgan.algorithm.randomness import derive_seed
from flower_dgan.algorithm.scores import merges_scores
from flower_dgan.algorithm.tdgan import Reminder
from flower_dgan.config import Config, ModelConfig
from flower_dgan.errors import ConfigError
from flower_dgan.models.dcgan import DcganDiscriminator, DcganGenerator
from flower_dgan.models.fusion import GatedGenerator, MixtureGenerator
from flower_dgan.models.mlp import MlpDiscriminator, MlpGenerator
from flower_dgan.models.patchgan import PatchDiscriminator
from flower_dgan.models.resnet import ResnetGenerator
from flower_dgan.models.small import SmallDiscriminator, SmallGenerator
from flower_dgan.models.unet import UnetGenerator
from flower_dgan.plugins import make


@dataclass(frozen=True)
class ImageShape:
    """What the networks see.

    Attributes
    ----------
    classes : int
        Classes of the label maps, background included.
    channels : int
        Channels of the images.
    image_size : int
        Height and width.
    sites : tuple of str
        Names of the sites, in the order of their indices.
    """

    classes: int
    channels: int
    image_size: int
    sites: tuple[str, ...]


def build_generator(model: ModelConfig, shape: ImageShape) -> nn.Module:
    """Build the generator with weights from torch's default random state.

    Raises
    ------
    ConfigError
        If the network cannot make images of this size.
    """
    sites = len(shape.sites) if model.site_condition else 0
    common = (shape.classes, shape.channels, model.generator_width)
    try:
        match model.generator:
            case "small":
                return SmallGenerator(*common, shape.image_size, model.noise_channels, sites)
            case "unet":
                return UnetGenerator(*common, shape.image_size, model.noise_channels, sites)
            case "resnet9":
                if model.noise_channels or sites:
                    raise ValueError("it takes neither noise nor site: noise_channels=0 site_condition=false")
                return ResnetGenerator(*common)
            case "mlp" | "mlp-relu" | "dcgan":
                if sites:
                    raise ValueError("it takes no site: model.site_condition=false")
                if model.generator == "dcgan":
                    return DcganGenerator(*common, shape.image_size, model.noise_channels)
                slope = 0.2 if model.generator == "mlp" else 0.0
                return MlpGenerator(*common, shape.image_size, model.noise_channels, slope)
            case "fusion-mixture" | "fusion-gate":
                if sites:
                    raise ValueError("its sub-generators have a site each: model.site_condition=false")
                fusion = MixtureGenerator if model.generator == "fusion-mixture" else GatedGenerator
                return fusion(*common, shape.image_size, model.noise_channels, len(shape.sites))
            case path:
                network = make(
                    path,
                    "model.generator",
                    classes=shape.classes,
                    channels=shape.channels,
                    width=model.generator_width,
                    image_size=shape.image_size,
                    noise_channels=model.noise_channels,
                    sites=sites,
                )
                return _network(network, path)
    except ValueError as error:
        raise ConfigError(
            f"model.generator={model.generator} with data.image_size={shape.image_size}: {error}"
        ) from error


def build_discriminator(model: ModelConfig, shape: ImageShape) -> nn.Module:
    """Build the discriminator with weights from torch's default random state.

    Raises
    ------
    ConfigError
        If the network cannot judge images of this size.
    """
    common = (shape.classes, shape.channels, model.discriminator_width)
    try:
        match model.discriminator:
            case "small":
                return SmallDiscriminator(*common)
            case "patchgan":
                return PatchDiscriminator(*common)
            case "mlp":
                return MlpDiscriminator(*common, shape.image_size)
            case "dcgan":
                return DcganDiscriminator(*common, shape.image_size)
            case path:
                network = make(
                    path,
                    "model.discriminator",
                    classes=shape.classes,
                    channels=shape.channels,
                    width=model.discriminator_width,
                    image_size=shape.image_size,
                )
                return _network(network, path)
    except ValueError as error:
        raise ConfigError(
            f"model.discriminator={model.discriminator} with data.image_size={shape.image_size}: {error}"
        ) from error


def _network(made: object, path: str) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{path} makes a {type(made).__name__}: a torch.nn.Module is wanted.")
    return made


def generator_half(
    config: Config, shape: ImageShape, workers: int = 1, before: tuple[nn.Module, Sequence[ClientLabels]] | None = None
) -> GeneratorHalf:
    """Build the server's half.

    Its weights are those of the generator of the task ``before``, which comes with the clients of all earlier tasks, or
    depend on ``config.seed`` only. The workers change only its speed.
    """
    with seeded(config.seed, "generator"):
        network = build_generator(config.model, shape)
    algorithm, reminder = config.algorithm, None
    if before is not None:
        previous, labels = before
        network.load_state_dict(previous.state_dict())
        weight = algorithm.reminding_perceptual_weight
        perceptual = pretrained_perceptual_loss() if weight else None
        reminder = Reminder(
            previous, labels, bundle_settings(config), algorithm.reminding_l1_weight, weight, perceptual
        )
    optimizer = torch.optim.Adam(network.parameters(), algorithm.generator_learning_rate, algorithm.betas)
    return GeneratorHalf(
        network,
        optimizer,
        replay=algorithm.replay,
        target_step=algorithm.target_step,
        diversity=algorithm.diversity,
        average_decay=algorithm.average_decay,
        merge=merge_rule(algorithm.merge),
        reminder=reminder,
        workers=workers,
    )


def discriminator_half(config: Config, shape: ImageShape, client: str) -> DiscriminatorHalf:
    """Build one client's half; its weights depend on ``config.seed`` and the client's name only."""
    with seeded(config.seed, "discriminator", client):
        network = build_discriminator(config.model, shape)
    algorithm = config.algorithm
    pixel_losses = None
    if algorithm.l1_weight or algorithm.perceptual_weight:
        perceptual = pretrained_perceptual_loss() if algorithm.perceptual_weight else None
        pixel_losses = PixelLosses(algorithm.l1_weight, algorithm.perceptual_weight, perceptual)
    return DiscriminatorHalf(
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), algorithm.discriminator_learning_rate, algorithm.betas),
        loss=LOSSES[algorithm.loss],
        discriminator_weight=algorithm.discriminator_weight,
        generator_weight=algorithm.generator_weight,
        pixel_losses=pixel_losses,
        steps=algorithm.discriminator_steps,
        scores=merges_scores(algorithm.merge),
    )


def server_discriminator_half(config: Config, classes: int) -> DiscriminatorHalf:
    """Build the discriminator that the server has of its own in Distributed-GAN's approach 1."""
    shape = ImageShape(classes, config.data.channels, config.data.image_size, ())
    return discriminator_half(config, shape, "server")


def discriminator_shapes(config: Config, classes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter of a client's discriminator, by its name."""
    with torch.random.fork_rng(devices=[]):
        network = build_discriminator(
            config.model, ImageShape(classes, config.data.channels, config.data.image_size, ())
        )
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def bundle_settings(config: Config) -> BundleSettings:
    """Return how the server draws bundles."""
    return BundleSettings(
        exchanges=config.exchange.exchanges,
        batch_size=config.exchange.batch_size,
        image_size=config.data.image_size,
        augmentation=config.data.augmentation,
        noise_channels=config.model.noise_channels,
        seed=config.seed,
    )


def free_cores() -> int:
    """Return how many threads that each use torch's own number of threads the machine has cores for."""
    return max(1, (os.cpu_count() or 1) // torch.get_num_threads())


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Seed torch's default random state for one purpose, and give it back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, *names))
        yield


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use ``count`` threads; None leaves its own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
