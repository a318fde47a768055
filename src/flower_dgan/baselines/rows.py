"""The rows of the TSTR table: real data pooled and alone; the generator untrained, trained on either, and the run's."""

import logging
from dataclasses import dataclass, replace

from flower_dgan.algorithms.asyndgan import LocalClient, train
from flower_dgan.config import Config, MergeName
from flower_dgan.data import Pairs, read_foreign_label_maps
from flower_dgan.data.channels import Channels, fill_channels, hide_channels
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.networks.build import ImageShape
from flower_dgan.networks.whole import BlackElsewhere
from flower_dgan.node.node import open_partition
from flower_dgan.synthesis import synthesize
from flower_dgan.wiring import bundle_settings, discriminator_half, free_cores, generator_half, seeded, threads

logger = logging.getLogger("flwr")


@dataclass(frozen=True)
class LocalFederation:
    """The clients of a simulation, in this process.

    Attributes
    ----------
    shape : ImageShape
        What the networks see.
    labels : tuple of ClientLabels
        What a server knows of each client, in the order of their names.
    real : tuple of Pairs
        Their real pairs, in the same order; 0 in the channels that a client lacks.
    channels : tuple of tuple of int or None
        Which channels each client holds, None for all.
    """

    shape: ImageShape
    labels: tuple[ClientLabels, ...]
    real: tuple[Pairs, ...]
    channels: tuple[Channels, ...]

    def clients(self, config: Config) -> list[LocalClient]:
        """Return the clients, each with a fresh discriminator of its own."""
        found = []
        for labels, pairs, channels in zip(self.labels, self.real, self.channels, strict=True):
            images = hide_channels(pairs, channels).images
            half = discriminator_half(config, replace(self.shape, channels=images[0].shape[2]), labels.name)
            found.append(LocalClient(labels, images, half, channels))
        return found

    def pooled(self) -> Pairs:
        """Return the real pairs of all clients together."""
        images = tuple(image for pairs in self.real for image in pairs.images)
        label_maps = tuple(label_map for pairs in self.real for label_map in pairs.label_maps)
        return Pairs(images, label_maps, self.shape.classes)

    def alone(self, index: int) -> "LocalFederation":
        """Return the federation of one of the clients, whose networks are those for all sites."""
        return LocalFederation(self.shape, (self.labels[index],), (self.real[index],), (self.channels[index],))


def open_federation(config: Config, clients: int) -> LocalFederation:
    """Read the training pairs of every simulated client, as the person who simulates may.

    Raises
    ------
    DataError, FederationError
        If the data cannot be read or shared among so many clients.
    """
    nodes = [open_partition(config, k, clients) for k in range(clients)]
    nodes.sort(key=lambda node: node.name)
    shape = ImageShape(
        nodes[0].pairs.classes, config.data.channels, config.data.image_size, tuple(node.name for node in nodes)
    )
    foreign = read_foreign_label_maps(config.data)
    maps = foreign.maps if foreign else ()
    labels = tuple(
        ClientLabels(node.name, node.pairs.label_maps, node.pairs.classes, index, maps)
        for index, node in enumerate(nodes)
    )
    real = tuple(fill_channels(node.pairs, node.channels, shape.channels) for node in nodes)
    return LocalFederation(shape, labels, real, tuple(node.channels for node in nodes))


def draw_untrained(config: Config, federation: LocalFederation) -> Pairs:
    """Draw from the generator before it learned anything: what the label maps alone are worth."""
    network = generator_half(config, federation.shape).average
    return synthesize(network, federation.labels, bundle_settings(config), config.output.synthetic_images)[0]


def with_one_discriminator(config: Config) -> Config:
    """Return the configuration of a GAN with one discriminator: no scores to merge, and none to contradict another."""
    merge: MergeName = "samples" if config.algorithm.merge in ("samples", "odds") else "equal"
    return replace(config, algorithm=replace(config.algorithm, merge=merge))


def train_centralized(config: Config, federation: LocalFederation, row: str) -> Pairs:
    """Train the same GAN with one discriminator for the pooled data, and draw as many pairs from it.

    Generator, batches, noise and sites are those of the run; the one discriminator sees the batches of all clients, one
    after the other. For it the channels that a client lacks are black, in its real and its synthetic images alike. The
    row is named in the log.
    """
    config = with_one_discriminator(config)
    generator = generator_half(config, federation.shape, workers=free_cores())
    half = discriminator_half(config, federation.shape, "centralized")
    pooled = [
        replace(client, half=_for_channels(half, client.channels, federation.shape))
        for client in federation.clients(config)
    ]
    exchange = config.exchange

    def log(round_number: int) -> None:
        if round_number % config.output.sample_interval == 0:
            logger.info("%s: round %d/%d", row, round_number, exchange.rounds)

    with threads(config.threads), seeded(config.seed, "centralized"):
        train(
            generator,
            pooled,
            bundle_settings(config),
            rounds=exchange.rounds,
            generator_steps=exchange.generator_steps,
            merge=config.algorithm.merge,
            in_flight=exchange.in_flight,
            final_rate=config.algorithm.final_rate,
            largest_share=config.algorithm.largest_share,
            after_round=log,
        )
    total = config.output.synthetic_images
    return synthesize(generator.average, federation.labels, bundle_settings(config), total)[0]


def _for_channels(half: DiscriminatorHalf, channels: Channels, shape: ImageShape) -> DiscriminatorHalf:
    """Return a discriminator of whole images for a client with these channels; they share parameters and optimizer."""
    return half if channels is None else replace(half, network=BlackElsewhere(half.network, channels, shape.channels))


def table_rows(config: Config, federation: LocalFederation, synthetic: Pairs) -> dict[str, Pairs]:
    """Return the training pairs of every row that ``downstream.rows`` asks for, in the table's order."""
    wanted = config.downstream.rows
    rows: dict[str, Pairs] = {}
    if "Real-All" in wanted:
        rows["Real-All"] = federation.pooled()
    if "Real-k" in wanted:
        rows |= {f"Real-{name}": pairs for name, pairs in zip(federation.shape.sites, federation.real, strict=True)}
    if "Untrained" in wanted:
        rows["Untrained"] = draw_untrained(config, federation)
    if "Local-k" in wanted:
        for index, name in enumerate(federation.shape.sites):
            row = f"Local-{name}"
            drawn, channels = train_centralized(config, federation.alone(index), row), federation.channels[index]
            # what nobody taught the generator is black, as in the client's real images
            rows[row] = fill_channels(hide_channels(drawn, channels), channels, federation.shape.channels)
    if "Syn-All" in wanted:
        rows["Syn-All"] = train_centralized(config, federation, "Syn-All")
    if "DGAN" in wanted:
        rows["DGAN"] = synthetic
    return rows
