"""Adversarial losses on the discriminator's output, one value a sample.

A loss is three functions of ``(logits, label_maps)``: what the discriminator pays for real images, what it pays for
synthetic ones, and what the generator pays for synthetic ones. Logits are (batch, 1, height, width) scores of patches,
or (batch, classes + 1, height, width) for ``segmentation``; label maps are one-hot (batch, classes, height, width).
Each returns a float tensor (batch,): the mean over the patches or pixels of a sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.config import LossName

SampleLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class AdversarialLoss:
    """The three parts of an adversarial loss.

    Attributes
    ----------
    real, fake : callable
        The discriminator's loss on real and on synthetic samples.
    generator : callable
        The generator's loss on synthetic samples.
    """

    real: SampleLoss
    fake: SampleLoss
    generator: SampleLoss


def _per_sample(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1)


def _segmentation_real(logits: Tensor, label_maps: Tensor) -> Tensor:
    """Cross-entropy against the label map, each class weighted by its inverse frequency in the batch."""
    frequency = label_maps.mean((0, 2, 3))
    present = (frequency > 0).float()
    weights = present / (frequency.clamp_min(1e-6) * present.sum())
    log_probabilities = F.log_softmax(logits, 1)[:, : label_maps.shape[1]]
    return _per_sample(-(label_maps * log_probabilities * weights[None, :, None, None]).sum(1))


def _segmentation_fake(logits: Tensor, _: Tensor) -> Tensor:
    """Cross-entropy against the extra class 'synthetic', the last one."""
    return _per_sample(-F.log_softmax(logits, 1)[:, -1])


BCE = AdversarialLoss(
    real=lambda logits, _: _per_sample(F.softplus(-logits)),
    fake=lambda logits, _: _per_sample(F.softplus(logits)),
    generator=lambda logits, _: _per_sample(F.softplus(-logits)),
)
"""Binary cross-entropy; the generator's part is the non-saturating one (Goodfellow 2014, section 3)."""

LEAST_SQUARES = AdversarialLoss(
    real=lambda logits, _: _per_sample((logits - 1).square()),
    fake=lambda logits, _: _per_sample(logits.square()),
    generator=lambda logits, _: _per_sample((logits - 1).square()),
)
"""Least squares with the targets 0 and 1 and no factor 1/2 (Mao 2017, equation 9; as in pix2pix's code)."""

HINGE = AdversarialLoss(
    real=lambda logits, _: _per_sample(torch.relu(1 - logits)),
    fake=lambda logits, _: _per_sample(torch.relu(1 + logits)),
    generator=lambda logits, _: _per_sample(-logits),
)
"""Hinge loss (Lim and Ye 2017; Miyato 2018, equations 16 and 17)."""

WASSERSTEIN = AdversarialLoss(
    real=lambda logits, _: _per_sample(-logits),
    fake=lambda logits, _: _per_sample(logits),
    generator=lambda logits, _: _per_sample(-logits),
)
"""Difference of means (Arjovsky 2017, equation 3); wants a discriminator that is kept Lipschitz."""

SEGMENTATION = AdversarialLoss(real=_segmentation_real, fake=_segmentation_fake, generator=_segmentation_real)
"""Pixelwise (classes + 1)-class cross-entropy with class balancing (OASIS: Schoenfeld 2021, section 3.1).

The discriminator segments real images and calls every pixel of a synthetic one 'synthetic'; the generator wants its
pixels to be given their own classes. Without OASIS's LabelMix."""

LOSSES: Mapping[LossName, AdversarialLoss] = MappingProxyType(
    {
        "bce": BCE,
        "least-squares": LEAST_SQUARES,
        "hinge": HINGE,
        "wasserstein": WASSERSTEIN,
        "segmentation": SEGMENTATION,
    }
)
