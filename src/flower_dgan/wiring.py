"""What server and clients have at the start of a training, from a configuration; and the state of torch they need."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import PixelSettings, TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.gan.bundle import BundleSettings, ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf, PixelLosses
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.perceptual import pretrained_perceptual_loss
from flower_dgan.gan.replay import Replay
from flower_dgan.gan.server_state import PreviousTask, ServerState
from flower_dgan.gan.session import Session
from flower_dgan.gan.site_levels import InUnitsOf
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.randomness import derive_seed


def generator_half(config: TrainingConfig, shape: ImageShape, workers: int = 1) -> GeneratorHalf:
    """Build a generator with its optimizer; its weights depend on ``config.seed`` only. Workers make it faster."""
    with seeded(config.seed, "generator"):
        network = build_generator(config.model, shape)
    algorithm = config.algorithm
    return GeneratorHalf(
        network,
        torch.optim.Adam(network.parameters(), algorithm.generator_learning_rate, algorithm.betas),
        replay=Replay(algorithm.replay, algorithm.target_step, algorithm.diversity, algorithm.passes),
        average_decay=algorithm.average_decay,
        workers=workers,
        graph_bytes=config.exchange.graph_bytes,
    )


def server_state(
    config: TrainingConfig,
    shape: ImageShape,
    clients: Mapping[str, ClientLabels],
    workers: int = 1,
    previous: PreviousTask | None = None,
) -> ServerState:
    """Build what the server has of a training with these clients, before its first round."""
    of_whole_images = ImageShape(shape.classes, shape.channels, shape.image_size, ())
    return ServerState(
        generator_half(config, shape, workers),
        clients,
        bundle_settings(config),
        config.exchange.rounds,
        config.exchange.generator_steps,
        shape.channels,
        partial(discriminator_half, config, of_whole_images),
        previous,
    )


def discriminator_half(config: TrainingConfig, shape: ImageShape, client: str) -> DiscriminatorHalf:
    """Build one client's discriminator; its weights depend on ``config.seed`` and the client's name only."""
    with seeded(config.seed, "discriminator", client):
        network = build_discriminator(config.model, shape)
    units = torch.ones(1, 1, 1)
    if config.model.levels == "site" and shape.levels:
        (levels,) = shape.levels
        network, units = InUnitsOf(network, levels), levels.deviations[:, None, None]
    algorithm = config.algorithm
    pixel_losses = None
    if isinstance(algorithm, PixelSettings) and algorithm.reads_pixels:
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
        penalty=algorithm.gradient_penalty,
        units=units,
    )


def session_of(config: TrainingConfig, name: str, pairs: Pairs, half: DiscriminatorHalf, secret: int) -> Session:
    """Return what a client has of a training with this discriminator."""
    return Session(
        name=name,
        pairs=pairs,
        half=half,
        image_size=config.data.image_size,
        batch_size=config.exchange.batch_size,
        augmentation=config.data.geometry,
        foreground=config.data.placed_windows,
        rounds=config.exchange.rounds,
        secret=secret,
        reads_pixels=algorithm_of(config).releases.real_pixels,
    )


def bundle_settings(config: TrainingConfig) -> BundleSettings:
    """Return how the server draws bundles."""
    return BundleSettings(
        exchanges=config.exchange.exchanges,
        batch_size=config.exchange.batch_size,
        image_size=config.data.image_size,
        augmentation=config.data.geometry,
        foreground=config.data.placed_windows,
        noise_channels=config.model.noise_channels,
        seed=config.seed,
        largest_share=config.algorithm.largest_share,
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
