"""Distributed-GAN: three ways for one generator to learn from the data of many users.

X. Wang, Y. Wang: "Distributed Generative Adversarial Net", 2019. The user's discriminators never see each other's data.

Approach 1, :func:`select` and :func:`keep_largest`: the server has a discriminator D of its own, with weights w. User k
trains a copy of it on its own real images and the common synthetic ones, and uploads some entries i of the change,

    delta_k = w_k - w,    u_k,i = delta_k,i  if i is selected,  0 otherwise,

those that are largest, those at random places, or those beyond a threshold. The server keeps the largest change of each
entry and steps the generator against its own D,

    w_i  <-  w_i + u_k(i),i    with  k(i) = argmax_k |u_k,i|.

Approach 2, :func:`average`: all users judge the same synthetic images; what the discriminators say is averaged, and the
generator's loss is that of the mean,

    D(x) = 1/K sum_k D_k(x).

The users send D_k(x) as a logit and its gradient with respect to x, so that one exchange is exact.

Approach 3, :func:`whose_turn`: in one epoch, user after user, each steps its discriminator, and the generator steps on
that one's feedback before the next user's turn. A round is one turn here, and an epoch has as many as there are users.

Deviations: the generator's loss is the configured one, non-saturating by default; in approach 1 the moments of a user's
optimizer stay with the user from round to round, while its weights are the server's again.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.config import AlgorithmConfig
from flower_dgan.gan.exchange import Batch
from flower_dgan.gan.losses import SampleLoss
from flower_dgan.gan.session import Session

ClientT = TypeVar("ClientT")


def train_user(session: Session, round_number: int, synthetic: Batch) -> tuple[Tensor, tuple[float, ...]]:
    """Train a user's copy of D, and return by how much each weight changed.

    Parameters
    ----------
    session : Session
        The user's; its discriminator is the copy, with the server's weights w, and is changed in place.
    round_number : int
        From 1.
    synthetic : Batch, (exchanges * batch_size, ...)
        Synthetic images, batch after batch; the user draws as many real ones itself.

    Returns
    -------
    change : Tensor, (entries,)
        delta_k of all parameters, one after the other.
    losses : tuple of float
        The discriminator's loss on each batch.
    """
    half, size = session.half, session.batch_size
    before = half.flat_weights()
    losses = tuple(
        half.step(session.draw_real(round_number, batch), synthetic[start : start + size])
        for batch, start in enumerate(range(0, len(synthetic), size))
    )
    return half.flat_weights() - before, losses


def select(change: Tensor, algorithm: AlgorithmConfig, generator: torch.Generator) -> Tensor:
    """Return what of a change is uploaded, (entries,): 0 where it is not. Of equals the first are the largest.

    Parameters
    ----------
    change : Tensor, (entries,)
        delta_k.
    algorithm : AlgorithmConfig
        Its rule ``upload``, with ``upload_share`` or ``upload_threshold``.
    generator : torch.Generator
        Draws the places of ``random``.
    """
    count = math.ceil(algorithm.upload_share * len(change))
    if algorithm.upload == "threshold":
        return torch.where(change.abs() >= algorithm.upload_threshold, change, 0.0)
    if algorithm.upload == "largest":
        places = change.abs().sort(descending=True, stable=True).indices[:count]  # Adam's first steps are equals
    else:
        places = torch.randperm(len(change), generator=generator)[:count]
    return torch.zeros_like(change).index_copy(0, places, change[places])


def keep_largest(changes: Sequence[Tensor]) -> Tensor:
    """Return the change of each entry that is largest in magnitude over the users, (entries,); the first of equals."""
    kept = changes[0]
    for change in changes[1:]:
        kept = torch.where(change.abs() > kept.abs(), change, kept)
    return kept


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
