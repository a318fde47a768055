"""The rows of the TSTR table: real data pooled and alone, the same GAN centralised, and this run."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flower_dgan.algorithm.asyndgan import LocalClient, train
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.join import JoinedClient
from flower_dgan.node import open_node
from flower_dgan.synthesis import synthesize
from flower_dgan.wiring import ImageShape, bundle_settings, discriminator_half, generator_half, seeded, threads

logger = logging.getLogger("flwr")


def real_pairs(config: Config, clients: int) -> dict[str, Pairs]:
    """Return the training pairs of every simulated client by name, as the person who simulates may.

    Raises
    ------
    DataError, FederationError
        If the data cannot be read or shared among so many clients.
    """
    nodes = [open_node(config, {"partition-id": k, "num-partitions": clients}) for k in range(clients)]
    return {node.name: node.pairs for node in nodes}


def train_centralized(
    config: Config, shape: ImageShape, clients: Sequence[JoinedClient], real: Mapping[str, Pairs]
) -> Pairs:
    """Train the same GAN with one discriminator for the pooled data, and draw as many pairs from it.

    Generator, batches, noise and sites are those of the run; the one discriminator sees the batches of all clients, one
    after the other.
    """
    half = generator_half(config, shape)
    discriminator = discriminator_half(config, shape, "centralized")
    pooled = [LocalClient(client.labels, real[client.name].images, discriminator) for client in clients]
    exchange = config.exchange

    def log(round_number: int) -> None:
        if round_number % config.output.sample_interval == 0:
            logger.info("Syn-All: round %d/%d", round_number, exchange.rounds)

    with threads(config.threads), seeded(config.seed, "centralized"):
        train(
            half,
            pooled,
            bundle_settings(config),
            rounds=exchange.rounds,
            generator_steps=exchange.generator_steps,
            merge=config.algorithm.merge,
            final_rate=config.algorithm.final_rate,
            after_round=log,
        )
    labels = [client.labels for client in clients]
    settings = replace(bundle_settings(config), seed=config.seed)
    return synthesize(half.average, labels, settings, config.output.synthetic_images)[0]


def table_rows(
    config: Config,
    shape: ImageShape,
    clients: Sequence[JoinedClient],
    real: Mapping[str, Pairs],
    synthetic: Pairs,
) -> dict[str, Pairs]:
    """Return the training pairs of every row that ``downstream.rows`` asks for, in the table's order."""
    wanted = config.downstream.rows
    rows: dict[str, Pairs] = {}
    if "Real-All" in wanted:
        everything = list(real.values())
        rows["Real-All"] = Pairs(
            tuple(image for pairs in everything for image in pairs.images),
            tuple(label_map for pairs in everything for label_map in pairs.label_maps),
            shape.classes,
        )
    if "Real-k" in wanted:
        rows |= {f"Real-{name}": pairs for name, pairs in real.items()}
    if "Syn-All" in wanted:
        rows["Syn-All"] = train_centralized(config, shape, clients, real)
    if "DGAN" in wanted:
        rows["DGAN"] = synthetic
    return rows
