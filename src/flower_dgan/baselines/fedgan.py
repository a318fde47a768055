"""The peer of a distributed GAN: FedGAN, by Flower's own FedAvg, with as many steps of both networks as the run's.

It is for the owner of a simulation, who has all data. Between real sites every node would send both its networks every
K steps, which its policy forbids unless it says ``weights: true``.
"""

from dataclasses import replace

from flower_dgan.algorithms.fedgan import LocalGan, rounds_of
from flower_dgan.baselines.averaging import average
from flower_dgan.baselines.rows import LocalFederation, with_one_discriminator
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.flower.ledger import Ledger
from flower_dgan.synthesis import synthesize
from flower_dgan.wiring import bundle_settings, generator_half

ROW = "FedGAN"


def train_fedgan(config: Config, federation: LocalFederation) -> tuple[Pairs, Ledger, int]:
    """Train FedGAN on the clients' data, and draw as many pairs from it as from the run's generator.

    Returns
    -------
    tuple of Pairs, Ledger and int
        The synthetic pairs, what crossed (node k + 1 is client k of the federation), and the number of averages.
    """
    gans = local_gans(config, federation)
    rounds = rounds_of(generator_steps(config))
    ledger = average(gans, generator_steps(config), rounds)
    total = config.output.synthetic_images
    synthetic, _ = synthesize(gans[0].generator.network, federation.labels, bundle_settings(config), total)
    return synthetic, ledger, rounds


def generator_steps(config: Config) -> int:
    """Return how many steps the run's generator does, and each client's of FedGAN."""
    return config.exchange.rounds * config.exchange.generator_steps


def local_gans(config: Config, federation: LocalFederation) -> list[LocalGan]:
    """Return the clients' GANs, whose generators all begin as that of the run.

    A step takes as many batches of a client as one of the run's generator does, so that all networks see as many images
    in all.
    """
    config, exchange = with_one_discriminator(config), config.exchange
    settings = replace(bundle_settings(config), exchanges=exchange.exchanges // exchange.generator_steps)
    return [
        LocalGan(
            generator_half(config, federation.shape),
            client,
            settings,
            steps=generator_steps(config),
            final_rate=config.algorithm.final_rate,
        )
        for client in federation.clients(config)
    ]
