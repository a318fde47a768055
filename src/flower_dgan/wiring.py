"""What server and clients have at the start of a training, from a configuration; and the state of torch they need."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import PixelSettings, TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.device import computing_on, enough_memory_for, resolve_device, to_device
from flower_dgan.gan.bundle import BundleSettings, ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf, PixelLosses
from flower_dgan.gan.drawn_patients import DrawnPatients
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.perceptual import pretrained_perceptual_loss
from flower_dgan.gan.replay import Replay
from flower_dgan.gan.server_state import PreviousTask, ServerState
from flower_dgan.gan.session import Session
from flower_dgan.gan.site_levels import InUnitsOf
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.placing import compile_in_place, place
from flower_dgan.randomness import derive_seed


def generator_half(config: TrainingConfig, shape: ImageShape, workers: int = 1) -> GeneratorHalf:
    """Build a generator with its optimizer; its weights depend on ``config.seed`` only. Workers make it faster."""
    device, algorithm = resolve_device(config.device), config.algorithm
    with seeded(config.seed, "generator"):
        network = build_generator(config.model, shape)
    with enough_memory(config):
        network = place(network, device, config.precision)
        if config.compile:
            compile_in_place(network)
    return GeneratorHalf(
        network,
        torch.optim.Adam(network.parameters(), algorithm.generator_learning_rate, algorithm.betas),
        replay=Replay(algorithm.replay, algorithm.target_step, algorithm.diversity, algorithm.passes),
        average_decay=algorithm.average_decay,
        # On any other device threads would wait for each other; what is compiled is compiled in one.
        workers=workers if device.type == "cpu" and not config.compile else 1,
        together=device.type == "cuda",
        graph_bytes=config.exchange.graph_bytes if device.type == "cpu" else 0,  # where memory is not scarce
    )


def server_state(
    config: TrainingConfig,
    shape: ImageShape,
    clients: Mapping[str, ClientLabels],
    workers: int = 1,
    previous: PreviousTask | None = None,
) -> ServerState:
    """Build what the server has of a training with these clients, before its first round."""
    if previous is not None:
        device = resolve_device(config.device)
        previous = replace(previous, generator=place(previous.generator, device, config.precision))
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


def discriminator_half(
    config: TrainingConfig, shape: ImageShape, client: str, secret: int | None = None
) -> DiscriminatorHalf:
    """Build one client's discriminator.

    Parameters
    ----------
    config : TrainingConfig
        The settings.
    shape : ImageShape
        What it sees.
    client : str
        The client's name.
    secret : int or None
        What the weights it begins with follow from, beside the name: a server that knew them could compute from the
        gradients at the first bundle what the first step has added, and so real images. None for the run's seed.
    """
    device = resolve_device(config.device)
    with seeded(config.seed if secret is None else secret, "discriminator", client):
        network = build_discriminator(config.model, shape)
    units = torch.ones(1, 1, 1)
    if config.model.levels == "site" and shape.levels:
        (levels,) = shape.levels
        network, units = InUnitsOf(network, levels), levels.deviations[:, None, None]
    with enough_memory(config):
        network = place(network, device, config.precision)
    algorithm = config.algorithm
    pixel_losses = None
    if isinstance(algorithm, PixelSettings) and algorithm.reads_pixels:
        perceptual = place(pretrained_perceptual_loss(), device) if algorithm.perceptual_weight else None
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
        units=to_device(units, device),
    )


def session_of(config: TrainingConfig, name: str, pairs: Pairs, half: DiscriminatorHalf, secret: int) -> Session:
    """Return what a client has of a training with this discriminator.

    For an algorithm that is private each image is a patient's own, and who comes follows from the secret: a node has
    its patients instead, see ``flower_dgan.node.private_steps``.
    """
    algorithm, patients, noise = algorithm_of(config), None, None
    if algorithm.releases.private:
        drawn = np.random.default_rng(derive_seed(secret, "patients", name))
        patients = DrawnPatients([(index,) for index in range(len(pairs))], drawn.bytes)
        noise = algorithm.drawn_releases(config)[0].sigma
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
        reads_pixels=algorithm.releases.real_pixels,
        patients=patients,
        noise=noise,
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
        published_noise=config.model.published_noise,
    )


def free_cores() -> int:
    """Return how many threads that each use torch's own number of threads the machine has cores for."""
    return max(1, (os.cpu_count() or 1) // torch.get_num_threads())


def rows_at_once(config: TrainingConfig) -> int:
    """Return how many rows of the table are trained at a time: two on a CPU with a core for each, otherwise one.

    With more, Python and memory would be what they wait for.
    """
    return min(2, free_cores()) if resolve_device(config.device).type == "cpu" else 1


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Seed torch's default random state for one purpose, and give it back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, *names))
        yield


@contextmanager
def computing(config: TrainingConfig) -> Iterator[None]:
    """Let torch use the threads of a configuration, and what builds networks inside its device.

    Raises
    ------
    ConfigError
        If the device is not there.
    DeviceMemoryError
        If its memory does not do for the body.
    """
    with threads(config.threads), computing_on(resolve_device(config.device)), enough_memory(config):
        yield


def enough_memory(config: TrainingConfig) -> AbstractContextManager[None]:
    """Let a lack of memory of a device in the body name the sizes of a training; raises DeviceMemoryError."""
    exchange, model, side = config.exchange, config.model, config.data.image_size
    # The server draws the images of a step anew, all at once: those of a message, over the steps that it takes on them.
    more_steps = ". Or raise exchange.generator_steps" if exchange.generator_steps < exchange.exchanges else ""
    return enough_memory_for(
        f"batches of {exchange.batch_size} images of {side} x {side} pixels with networks of width "
        f"{model.generator_width} and {model.discriminator_width}",
        "exchange.batch_size (of a table downstream.batch_size), data.image_size, model.generator_width or "
        f"model.discriminator_width{more_steps}",
    )


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use ``count`` threads; None leaves its own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
