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

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flower_dgan import gan
from flower_dgan.algorithms.judging_together import JudgingTogether
from flower_dgan.config import AlgorithmSettings, TrainingConfig
from flower_dgan.errors import ConfigError
from flower_dgan.lazily import torch

_ALMOST_NONE = 1e-30


@dataclass(frozen=True, kw_only=True)
class UaGanSettings(AlgorithmSettings):
    """What UA-GAN's runs choose.

    Attributes
    ----------
    merge : {"odds", "odds-by-class"}
        Whether pi_k is a client's share of all images, or for each sample its share of the images of that class.
    """

    merge: Literal["odds", "odds-by-class"]


class UaGan(JudgingTogether[UaGanSettings]):
    """The odds that the clients give to the same images are added up."""

    name = "uagan"
    Settings = UaGanSettings
    by_samples = True

    def check(self, config: TrainingConfig) -> None:
        """Find contradictions."""
        super().check(config)
        if self.settings.merge == "odds-by-class" and config.data.foreign_label_maps:
            raise ConfigError(
                "algorithm.merge=odds-by-class counts the classes in the clients' label maps, which stay with them "
                f"where data.label_maps={config.data.label_maps}: set algorithm.merge=odds."
            )

    def loss_of(self, scores: torch.Tensor, shares: torch.Tensor, loss: gan.SampleLoss) -> torch.Tensor:
        """Return the loss on D_ua."""
        return odds(scores, shares, loss)

    def shares(
        self,
        clients: Sequence[gan.ClientLabels],
        weights: Mapping[str, float],
        label_maps: torch.Tensor,
        largest: float,
    ) -> torch.Tensor:
        """Return pi_k, or pi_k(y)."""
        if self.settings.merge == "odds-by-class":
            return class_shares(clients, label_maps, largest)
        return super().shares(clients, weights, label_maps, largest)


def odds(scores: torch.Tensor, shares: torch.Tensor, loss: gan.SampleLoss) -> torch.Tensor:
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


def class_shares(clients: Sequence[gan.ClientLabels], label_maps: torch.Tensor, largest: float = 1.0) -> torch.Tensor:
    """Return pi_k(y), each client's share of the images of the class of each sample, (clients, samples).

    Parameters
    ----------
    clients : sequence of gan.ClientLabels
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


def _shares_of_class(counts: torch.Tensor, largest: float) -> torch.Tensor:
    """Return the clients' shares of the images of one class, of which they have so many."""
    counts = counts.clamp_min(_ALMOST_NONE)
    shares = counts / counts.sum(0)
    have = [index for index, count in enumerate(counts.tolist()) if count >= 1]
    if have and float(shares.max()) > largest:
        bounded = gan.bound_shares({str(index): float(shares[index]) for index in have}, largest, len(have))
        shares[have] = torch.tensor(list(bounded.values()))
    return shares


def _class_counts(client: gan.ClientLabels) -> torch.Tensor:
    classes = torch.tensor([int(label_map.flat[0]) for label_map in client.label_maps])
    return torch.bincount(classes, minlength=client.classes).float()
