"""Networks from their names."""

from dataclasses import dataclass

import torch
from torch import nn

from flower_dgan.config import ModelConfig, TrainingConfig
from flower_dgan.data.levels import Levels
from flower_dgan.errors import ConfigError
from flower_dgan.networks.dcgan import DcganDiscriminator, DcganGenerator
from flower_dgan.networks.fusion import GatedGenerator, MixtureGenerator
from flower_dgan.networks.limits import check_discriminator, check_generator
from flower_dgan.networks.mlp import ByClassDiscriminator, MlpDiscriminator, MlpGenerator
from flower_dgan.networks.multiscale import MultiScaleDiscriminator
from flower_dgan.networks.patchgan import PatchDiscriminator
from flower_dgan.networks.resnet import ResnetGenerator
from flower_dgan.networks.small import SmallDiscriminator, SmallGenerator
from flower_dgan.networks.spade import SpadeGenerator
from flower_dgan.networks.unet import UnetGenerator
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
    levels : tuple of Levels
        Those of each site, in the same order; for a discriminator those of its client alone. Empty where networks do
        not work in units of them.
    """

    classes: int
    channels: int
    image_size: int
    sites: tuple[str, ...]
    levels: tuple[Levels, ...] = ()


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
        check_generator(model, shape.image_size)
        match model.generator:
            case "small" | "spade":
                network_of = SmallGenerator if model.generator == "small" else SpadeGenerator
                return network_of(*common, shape.image_size, model.noise_channels, sites, shape.levels)
            case "unet":
                return UnetGenerator(*common, shape.image_size, model.noise_channels, sites)
            case "resnet9":
                return ResnetGenerator(*common)
            case "mlp" | "mlp-relu" | "dcgan":
                if model.generator == "dcgan":
                    return DcganGenerator(*common, shape.image_size, model.noise_channels, sites)
                slope = 0.2 if model.generator == "mlp" else 0.0
                return MlpGenerator(*common, shape.image_size, model.noise_channels, slope, sites)
            case "fusion-mixture" | "fusion-gate":
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
        check_discriminator(model, shape.image_size)
        match model.discriminator:
            case "small":
                return SmallDiscriminator(*common)
            case "patchgan":
                return PatchDiscriminator(*common)
            case "multi-scale":
                return MultiScaleDiscriminator(*common)
            case "mlp":
                return MlpDiscriminator(*common, shape.image_size)
            case "mlp-by-class":
                return ByClassDiscriminator(*common, shape.image_size)
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


@dataclass(frozen=True)
class DiscriminatorForm:
    """What a discriminator's weights look like, known on both sides before any are read.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Of all that it has learned, by name.
    entries : int
        Number of its parameters.
    """

    shapes: dict[str, tuple[int, ...]]
    entries: int


def discriminator_form(config: TrainingConfig, classes: int, channels: int | None = None) -> DiscriminatorForm:
    """Return the form of a client's discriminator, of images with so many channels, all if nothing is said."""
    shape = ImageShape(classes, channels or config.data.channels, config.data.image_size, ())
    with torch.random.fork_rng(devices=[]):
        network = build_discriminator(config.model, shape)
    return DiscriminatorForm(
        {name: tuple(value.shape) for name, value in network.state_dict().items()},
        sum(parameter.numel() for parameter in network.parameters()),
    )


def _network(made: object, path: str) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{path} makes a {type(made).__name__}: a torch.nn.Module is wanted.")
    return made
