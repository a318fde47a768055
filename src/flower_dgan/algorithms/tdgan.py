"""TDGAN: one generator learns task after task from clients that are online only then, and does not forget.

H. Qu, Y. Zhang, Q. Chang, Z. Yan, C. Chen, D. Metaxas: "Learn Distributed GAN with Temporary Discriminators", ECCV
2020.

Task t is a group of clients. The generator's loss in it (section 3.2) is the sum of

digesting loss
    AsynDGAN's, with the discriminators of the clients that are there now;
reminding loss
    on the label maps y of all earlier tasks, with G_prev the generator as it was when the task began,

        lambda_1 | G(y, z) - G_prev(y, z) |_1 + lambda_p perceptual(G(y, z), G_prev(y, z)),

    which the server computes alone: the clients of earlier tasks, their images and their discriminators are gone. In
    the first task it is zero.

A task is a training of its own here, which begins with the generator of the one before. Deviation: the generator may
take noise, and both draw the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_shared
from flower_dgan.randomness import derive_seed


@dataclass(frozen=True)
class Reminder:
    """The reminding loss.

    Attributes
    ----------
    previous : nn.Module
        G_prev; not changed.
    labels : sequence of ClientLabels
        The clients of all earlier tasks.
    settings : BundleSettings
        Batch size, views and seed of the label maps that are drawn for each generator step.
    l1_weight, perceptual_weight : float
        lambda_1 and lambda_p, at least 0.
    perceptual : callable or None
        ``(images, images) -> (batch,)``; needed where ``perceptual_weight`` is positive.
    """

    previous: nn.Module
    labels: Sequence[ClientLabels]
    settings: BundleSettings
    l1_weight: float
    perceptual_weight: float
    perceptual: Callable[[Tensor, Tensor], Tensor] | None

    def loss(self, network: nn.Module, step: int) -> Tensor:
        """Return the loss of G in its generator step of that number, a scalar, with its graph."""
        settings = replace(self.settings, exchanges=1, seed=derive_seed(self.settings.seed, "reminding"))
        inputs = draw_shared(self.labels, settings, step, 0)
        with torch.no_grad():
            before = self.previous(inputs)
        images = network(inputs)
        loss: Tensor = self.l1_weight * (images - before).abs().mean()
        if self.perceptual is not None:
            loss = loss + self.perceptual_weight * self.perceptual(images, before).mean()
        return loss
