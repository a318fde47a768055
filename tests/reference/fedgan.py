"""FedGAN's algorithm 1: every agent steps both networks on its own data, and every K steps both are averaged.

A step is one exchange of AsynDGAN with this client alone, in which nothing crosses the wire. In its last step an agent
puts the moving average of its generator in the place of the generator. The weights are p_i = |R_i| / sum_j |R_j|.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from .asyndgan import exchange
from .draws import Client
from .generator import Generator, learn
from .settings import Settings


def train(gans: Sequence[tuple[Generator, Client]], settings: Settings, *, interval: int) -> None:
    """Train all networks in place, from those of the first agent; ``interval`` is K and divides the steps.

    There are as many steps as the run's generator does, each on as many batches as one of those has of a client.
    """
    batches = settings.exchanges // settings.generator_steps
    settings = replace(
        settings,
        rounds=settings.rounds * settings.generator_steps,
        exchanges=batches,
        generator_steps=1,
        image_format="float32",
        feedback_format="float32",
        shared_batches=0,
        drawn=replace(settings.drawn, exchanges=batches),
    )
    pairs = [nn.ModuleList([generator.network, client.network]) for generator, client in gans]
    for pair in pairs:
        pair.load_state_dict(pairs[0].state_dict())
    images = sum(len(client.images) for _, client in gans)
    shares = [len(client.images) / images for _, client in gans]
    for step in range(1, settings.rounds + 1):
        for generator, client in gans:
            _, answered = exchange(generator, client, settings, step, None)
            learn(generator, [answered], [1.0], settings, step)
            if step == settings.rounds:
                generator.network.load_state_dict(generator.average.state_dict())
        if step % interval == 0:
            states = [pair.state_dict() for pair in pairs]
            mean = {
                name: torch.stack([share * state[name] for share, state in zip(shares, states, strict=True)]).sum(0)
                for name in states[0]
            }
            for pair in pairs:
                pair.load_state_dict(mean)
