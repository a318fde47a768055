"""The peer of a distributed GAN: FedGAN, by Flower's own FedAvg, with as many steps of both networks as the run's.

It is for the owner of a simulation, who has all data. Between real sites every node would send both its networks every
K steps, which its policy forbids unless it says ``weights: true``.
"""

from dataclasses import replace
from itertools import count

from flower_dgan.algorithms.fedgan import LocalGan, local_algorithm, rounds_of
from flower_dgan.baselines.averaging import average, rounds_within
from flower_dgan.baselines.choice_here import ChoiceHere
from flower_dgan.baselines.rows import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.flower.ledger import Ledger
from flower_dgan.synthesis import synthesize
from flower_dgan.wiring import bundle_settings, server_state

ROW = "FedGAN"
EQUAL_ROW = "FedGAN-equal-bytes"
"""The same, averaged as often as a client of the run could have for the bytes that it sent and received."""


def train_fedgan(config: Config, federation: LocalFederation, rounds: int | None = None) -> tuple[Pairs, Ledger, int]:
    """Train FedGAN on the clients' data, and draw as many pairs from it as from the run's generator.

    Which of its averages draws them is chosen as in the run.

    Parameters
    ----------
    config : Config
        The run's configuration.
    federation : LocalFederation
        The clients.
    rounds : int or None
        The number of averages; None for one every 20 steps.

    Returns
    -------
    tuple of Pairs, Ledger and int
        The synthetic pairs, what crossed (node k + 1 is client k of the federation), and the number of averages.
    """
    gans = local_gans(config, federation)
    steps = generator_steps(config)
    rounds = rounds or rounds_of(steps)
    choice = ChoiceHere(config, federation.labels, federation.validation, rounds)
    averages = count(1)
    ledger = average(gans, steps, rounds, lambda _: choice.keep(next(averages), gans[0].state.generator.network))
    generator = choice.take(gans[0].state.generator.network)
    total = config.output.synthetic_images
    synthetic, _ = synthesize(generator, federation.labels, bundle_settings(config), total)
    return synthetic, ledger, rounds


def rounds_at(config: Config, federation: LocalFederation, crossed: float) -> int:
    """Return the number of averages that cost a client about so many bytes, sent and received."""
    return rounds_within(local_gans(config, federation)[0].model, crossed, generator_steps(config))


def generator_steps(config: Config) -> int:
    """Return how many steps the run's generator does, and each client's of FedGAN."""
    return config.exchange.rounds * config.exchange.generator_steps


def local_gans(config: Config, federation: LocalFederation) -> list[LocalGan]:
    """Return the clients' GANs, whose generators all begin as that of the run.

    A step takes as many batches of a client as one of the run's generator does, so that all networks see as many images
    in all.
    """
    algorithm, exchange = local_algorithm(config.algorithm), config.exchange
    alone = replace(
        config,
        algorithm=algorithm.settings,
        exchange=replace(
            exchange,
            exchanges=exchange.exchanges // exchange.generator_steps,
            rounds=generator_steps(config),
            generator_steps=1,
        ),
    )
    sessions = federation.sessions(alone)
    return [
        LocalGan(algorithm, server_state(alone, federation.shape, {labels.name: labels}), sessions[labels.name])
        for labels in federation.labels
    ]
