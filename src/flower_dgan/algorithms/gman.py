"""GMAN: the generator against several discriminators at once, from a forgiving teacher to the harshest critic.

I. Durugkar, I. Gemp, S. Mahadevan: "Generative Multi-Adversarial Networks", ICLR 2017.

All discriminators judge the same synthetic images. With V_k the generator's loss against discriminator k on a
minibatch, the generator minimises F(V_1, ..., V_K), one of (section 3)

    max_k V_k                                        the harshest critic (section 3.1),
    sum_k w_k V_k,  w_k = exp(lambda V_k) / sum_j exp(lambda V_j)     a softmax of sharpness lambda (section 3.2.1),

whose limits are the mean (lambda = 0) and the maximum. In the paper the discriminators see the same data; here each has
a client's own.

Deviations: only the arithmetic mean of the paper's three; lambda is fixed, not learned (GMAN*), and the weights w_k are
constants in the gradient, so that none is negative; where a bundle has S > 1 batches, V_k in the weights and in the
maximum is the mean over the whole bundle instead of one minibatch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from flower_dgan import gan
from flower_dgan.algorithms.judging_together import JudgingTogether
from flower_dgan.config import AlgorithmSettings
from flower_dgan.config.ranges import Because, NonNegativeOrInfinite
from flower_dgan.lazily import torch


@dataclass(frozen=True, kw_only=True)
class GmanSettings(AlgorithmSettings):
    """What GMAN's runs choose.

    Attributes
    ----------
    sharpness : float
        lambda, at least 0: 0 is the mean, ``inf`` the harshest critic alone.
    """

    sharpness: Annotated[NonNegativeOrInfinite, Because("0 makes a mean, inf the harshest critic alone")]


class Gman(JudgingTogether[GmanSettings]):
    """The generator minds most whom it deceives least."""

    name = "gman"
    Settings = GmanSettings
    formerly = ("merge=softmax",)

    def loss_of(self, scores: torch.Tensor, shares: torch.Tensor, loss: gan.SampleLoss) -> torch.Tensor:
        """Return F(V_1, ..., V_K)."""
        return softmax(scores, loss, self.settings.sharpness)


def softmax(scores: torch.Tensor, loss: gan.SampleLoss, sharpness: float) -> torch.Tensor:
    """Return the generator's loss of each sample, (samples,).

    Parameters
    ----------
    scores : Tensor, (clients, samples)
        Logits of the discriminators on one bundle, the minibatch of the paper where S = 1.
    loss : callable
        The generator's loss of logits (samples, 1).
    sharpness : float
        lambda, at least 0; infinity for the maximum.
    """
    losses = torch.stack([loss(row[:, None]) for row in scores])
    values = losses.detach().mean(1)
    if sharpness == math.inf:
        return losses[values.argmax()]
    return (sharpness * values).softmax(0) @ losses
