"""FedGAN: every client trains a generator and a discriminator of its own, and both are averaged every K steps.

M. Rasouli, T. Sun, R. Rajagopal: "FedGAN: Federated Generative Adversarial Networks for Distributed Data", 2020.

Agent i has parameters w_i of its discriminator and theta_i of its generator; all begin with the same. In step n
(algorithm 1), with g and h the stochastic gradients on a minibatch of agent i's own data R_i,

    w_i(n) = w_i(n-1) + a(n-1) g_i(theta_i(n-1), w_i(n-1)),
    theta_i(n) = theta_i(n-1) + b(n-1) h_i(theta_i(n-1), w_i(n-1)),

and where n is a multiple of K the intermediary averages both, with p_i = |R_i| / sum_j |R_j|, and sends them back:

    w(n) = sum_i p_i w_i(n),        theta(n) = sum_i p_i theta_i(n).

A client sends and receives all parameters of both networks every K steps, however many images it trained on.

:class:`LocalGan` is the local part; whoever has all of them averages. Deviations: a step is a round of AsynDGAN with
this client alone, in which the discriminator steps before the generator; Adam instead of plain gradient descent, whose
moments stay at the client and go on after an average; in its last step a client puts the moving average of its
generator, of which images are drawn, in the place of the generator. The mean of the clients' moving averages is that of
the averaged generator, as both are linear.
"""

from __future__ import annotations

import math
from dataclasses import fields

from flower_dgan import gan
from flower_dgan.algorithms.asyndgan import AsynDgan, AsynDganSettings
from flower_dgan.config import AlgorithmSettings, PixelSettings
from flower_dgan.lazily import torch

INTERVAL = 20
"""K. The paper trains with several; every run has this one."""


def rounds_of(steps: int) -> int:
    """Return the number of averages in so many steps of each client: there are at most K steps to each."""
    return math.ceil(steps / INTERVAL)


def local_algorithm(settings: AlgorithmSettings) -> AsynDgan:
    """Return how a client's two networks step: AsynDGAN with the losses and rates of a run's algorithm."""
    shared = {field.name: getattr(settings, field.name) for field in fields(AlgorithmSettings)}
    pixels = settings if isinstance(settings, PixelSettings) else PixelSettings(l1_weight=0.0, perceptual_weight=0.0)
    return AsynDgan(
        AsynDganSettings(
            **shared, merge="equal", l1_weight=pixels.l1_weight, perceptual_weight=pixels.perceptual_weight
        )
    )


class LocalGan:
    """The GAN of one client.

    Parameters
    ----------
    algorithm : AsynDgan
        How both networks step, see :func:`local_algorithm`.
    state : ServerState
        Its generator, with this client alone, as many rounds as there are steps, and one generator step in each;
        changed in place.
    session : Session
        Its data and its discriminator, which is changed in place.

    Attributes
    ----------
    model : nn.Module
        Both networks, which are what is averaged.
    """

    def __init__(self, algorithm: AsynDgan, state: gan.ServerState, session: gan.Session) -> None:
        self.algorithm = algorithm
        self.state = state
        self.session = session
        self.model: torch.nn.Module = torch.nn.ModuleDict(
            {"generator": state.generator.network, "discriminator": session.half.network}
        )
        self._done = 0

    def __len__(self) -> int:
        """Return the number of real images."""
        return len(self.session.pairs)

    def run(self, steps: int) -> None:
        """Take the next steps of both networks."""
        for _ in range(steps):
            self._done += 1
            ((name, proposal, question),) = self.algorithm.ask(self.state, self._done, [self.session.name])
            answer = self.algorithm.answer(self.session, self._done, question)
            self.algorithm.learn(self.state, self._done, {name: proposal}, {name: answer}, {name: 1.0})
        generator = self.state.generator
        if self._done == self.state.rounds:
            generator.network.load_state_dict(generator.average.state_dict())
