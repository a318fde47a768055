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

import math

from torch import nn

from flower_dgan.algorithms.asyndgan import LocalClient, local_feedback
from flower_dgan.gan.bundle import BundleSettings, draw_bundle
from flower_dgan.gan.generator import GeneratorHalf, scheduled_rate

INTERVAL = 20
"""K. The paper trains with several; every run has this one."""


def rounds_of(steps: int) -> int:
    """Return the number of averages in so many steps of each client: there are at most K steps to each."""
    return math.ceil(steps / INTERVAL)


class LocalGan:
    """The GAN of one client.

    Parameters
    ----------
    generator : GeneratorHalf
        Its generator; changed in place.
    client : LocalClient
        Its data and its discriminator, which is changed in place.
    settings : BundleSettings
        What is drawn for one step; with one exchange it is the paper's.
    steps : int
        Steps in all, at least 1.
    final_rate : float
        Factor of the generator's rates in the last step, see ``generator.scheduled_rate``.

    Attributes
    ----------
    model : nn.Module
        Both networks, which are what is averaged.
    """

    def __init__(
        self,
        generator: GeneratorHalf,
        client: LocalClient,
        settings: BundleSettings,
        *,
        steps: int,
        final_rate: float,
    ) -> None:
        self.generator = generator
        self.client = client
        self.settings = settings
        self.model: nn.Module = nn.ModuleDict({"generator": generator.network, "discriminator": client.half.network})
        self._steps = steps
        self._final_rate = final_rate
        self._done = 0

    def __len__(self) -> int:
        """Return the number of real images."""
        return len(self.client.images)

    def run(self, steps: int) -> None:
        """Take the next steps of both networks."""
        for _ in range(steps):
            self._done += 1
            views, inputs = draw_bundle(self.client.labels, self.settings, self._done)
            proposal = self.generator.propose(inputs)
            feedback = local_feedback(self.client, self._done, views, proposal, self.settings)
            rate = scheduled_rate(self._done, self._steps, self._final_rate)
            self.generator.apply([proposal], [feedback], {self.client.labels.name: 1.0}, 1, rate)
        if self._done == self._steps:
            self.generator.network.load_state_dict(self.generator.average.state_dict())
