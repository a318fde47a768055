"""Halves of the algorithm from a configuration, and the state of torch that they need."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from flower_dgan.algorithms.tdgan import Reminder
from flower_dgan.config import TrainingConfig
from flower_dgan.gan.bundle import BundleSettings, ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf, PixelLosses
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.merge import merge_rule
from flower_dgan.gan.perceptual import pretrained_perceptual_loss
from flower_dgan.gan.replay import Replay
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.randomness import derive_seed


def generator_half(
    config: TrainingConfig,
    shape: ImageShape,
    workers: int = 1,
    before: tuple[nn.Module, Sequence[ClientLabels]] | None = None,
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
        replay=Replay(algorithm.replay, algorithm.target_step, algorithm.diversity),
        average_decay=algorithm.average_decay,
        merge=merge_rule(algorithm.merge),
        reminder=reminder,
        workers=workers,
    )


def discriminator_half(config: TrainingConfig, shape: ImageShape, client: str) -> DiscriminatorHalf:
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
        scores=algorithm.merges_scores,
    )


def server_discriminator_half(config: TrainingConfig, classes: int) -> DiscriminatorHalf:
    """Build the discriminator that the server has of its own in Distributed-GAN's approach 1."""
    shape = ImageShape(classes, config.data.channels, config.data.image_size, ())
    return discriminator_half(config, shape, "server")


def bundle_settings(config: TrainingConfig) -> BundleSettings:
    """Return how the server draws bundles."""
    return BundleSettings(
        exchanges=config.exchange.exchanges,
        batch_size=config.exchange.batch_size,
        image_size=config.data.image_size,
        augmentation=config.data.augmentation,
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
