"""UA-GAN: the discriminators' odds, added up, are those of one discriminator that sees all data.

Y. Zhang, H. Qu, Q. Chang, H. Liu, D. Metaxas, C. Chen: "Training Federated GANs with Theoretical Guarantees: A
Universal Aggregation Approach", 2021.

All clients judge the same synthetic images. With D_k(x) in (0, 1) the probability that client k gives to x being real,
and pi_k its share of the data (section 3.1),

    odds_k(x) = D_k(x) / (1 - D_k(x)),      odds(x) = sum_k pi_k odds_k(x),      D_ua(x) = odds(x) / (1 + odds(x)).

Where every D_k is the best against its own data p_k, D_k = p_k / (p_k + q), so that odds = sum_k pi_k p_k / q = p / q
and D_ua is the best against the mixture p; a mean of the D_k is not. The generator is trained against D_ua.

Deviations: written in logits, logit D_ua = log sum_k pi_k exp(logit D_k), which neither overflows nor divides by zero;
the generator's loss is the configured one, non-saturating by default; images of one condition may be given shares
pi_k(y) of the images of that class; no share is larger than ``algorithm.largest_share`` where three or more have some.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.losses import SampleLoss
from flower_dgan.gan.shares import bound_shares

_ALMOST_NONE = 1e-30


def odds(scores: Tensor, shares: Tensor, loss: SampleLoss) -> Tensor:
    """Return the generator's loss on D_ua, (samples,).

    Parameters
    ----------
    scores : Tensor, (clients, samples)
        Logits of the D_k.
    shares : Tensor, (clients, samples)
        pi_k, or pi_k(y) for the class y of each sample; each column sums to 1.
    loss : callable
        The generator's loss of logits (samples, 1).
    """
    return loss(torch.logsumexp(scores + shares.log(), 0)[:, None])


def class_shares(clients: Sequence[ClientLabels], label_maps: Tensor, largest: float = 1.0) -> Tensor:
    """Return pi_k(y), each client's share of the images of the class of each sample, (clients, samples).

    Parameters
    ----------
    clients : sequence of ClientLabels
        Their label maps are constant and hold the class of the image.
    label_maps : Tensor, (samples, classes, height, width)
        Those of the samples. For a class that no client has, as somebody's answer is missing, all count alike.
    largest : float
        Largest share of one client in a class that three or more clients have. Where fewer have it they alone can judge
        its images, and their shares stay.
    """
    counts = torch.stack([_class_counts(client) for client in clients])
    shares = torch.stack([_shares_of_class(column, largest) for column in counts.T], 1)
    return shares[:, label_maps[:, :, 0, 0].argmax(1)]


def _shares_of_class(counts: Tensor, largest: float) -> Tensor:
    """Return the clients' shares of the images of one class, of which they have so many."""
    counts = counts.clamp_min(_ALMOST_NONE)
    shares = counts / counts.sum(0)
    have = [index for index, count in enumerate(counts.tolist()) if count >= 1]
    if have and float(shares.max()) > largest:
        bounded = bound_shares({str(index): float(shares[index]) for index in have}, largest, len(have))
        shares[have] = torch.tensor(list(bounded.values()))
    return shares


def _class_counts(client: ClientLabels) -> Tensor:
    classes = torch.tensor([int(label_map.flat[0]) for label_map in client.label_maps])
    return torch.bincount(classes, minlength=client.classes).float()
