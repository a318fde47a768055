"""Distributed-GAN: three ways for one generator to learn from the data of many users.

X. Wang, Y. Wang: "Distributed Generative Adversarial Net", 2019. The user's discriminators never see each other's data.

Approach 2, :func:`average`: all users judge the same synthetic images; what the discriminators say is averaged, and the
generator's loss is that of the mean,

    D(x) = 1/K sum_k D_k(x).

The users send D_k(x) as a logit and its gradient with respect to x, so that one exchange is exact.

Approach 3, :func:`whose_turn`: in one epoch, user after user, each steps its discriminator, and the generator steps on
that one's feedback before the next user's turn. A round is one turn here, and an epoch has as many as there are users.

Deviation: the generator's loss is the configured one, non-saturating by default.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.algorithm.losses import SampleLoss

ClientT = TypeVar("ClientT")


def average(scores: Tensor, loss: SampleLoss) -> Tensor:
    """Return the generator's loss on the mean of the D_k, (samples,).

    Parameters
    ----------
    scores : Tensor, (clients, samples)
        Logits of the D_k.
    loss : callable
        The generator's loss of logits (samples, 1): that of the mean is log mean_k D_k - log mean_k (1 - D_k).
    """
    mean, rest = torch.logsumexp(F.logsigmoid(scores), 0), torch.logsumexp(F.logsigmoid(-scores), 0)
    return loss((mean - rest)[:, None])


def whose_turn(clients: Sequence[ClientT], round_number: int) -> ClientT:
    """Return the one client of a round, from 1, in approach 3."""
    return clients[(round_number - 1) % len(clients)]
