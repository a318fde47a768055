"""Adversarial losses on the discriminator's output, one value a sample.

A loss is three functions of the logits: what the discriminator pays for real images, what it pays for synthetic ones,
and what the generator pays for synthetic ones. Logits are (batch, 1, height, width) scores of patches; each function
returns a float tensor (batch,): the mean over the patches of a sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.config import LossName

SampleLoss = Callable[[Tensor], Tensor]


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


BCE = AdversarialLoss(
    real=lambda logits: _per_sample(F.softplus(-logits)),
    fake=lambda logits: _per_sample(F.softplus(logits)),
    generator=lambda logits: _per_sample(F.softplus(-logits)),
)
"""Binary cross-entropy; the generator's part is the non-saturating one (Goodfellow 2014, section 3)."""

MINIMAX = AdversarialLoss(real=BCE.real, fake=BCE.fake, generator=lambda logits: -BCE.fake(logits))
"""Binary cross-entropy; the generator's part is log(1 - D(x)), which fades where D is sure (Goodfellow 2014, eq. 1).

So a discriminator that never saw a class has no say in it: it is sure of every image of that class, real or not, and
its gradient there is 0. The non-saturating loss gives the largest gradient of all there. Where each client has classes
of its own, this decides whether a sum of their feedback can make all classes, see docs/algorithms.md.
"""

LEAST_SQUARES = AdversarialLoss(
    real=lambda logits: _per_sample((logits - 1).square()),
    fake=lambda logits: _per_sample(logits.square()),
    generator=lambda logits: _per_sample((logits - 1).square()),
)
"""Least squares with the targets 0 and 1 and no factor 1/2 (Mao 2017, equation 9; as in pix2pix's code)."""

HINGE = AdversarialLoss(
    real=lambda logits: _per_sample(torch.relu(1 - logits)),
    fake=lambda logits: _per_sample(torch.relu(1 + logits)),
    generator=lambda logits: _per_sample(-logits),
)
"""Hinge loss (Lim and Ye 2017; Miyato 2018, equations 16 and 17)."""

WASSERSTEIN = AdversarialLoss(
    real=lambda logits: _per_sample(-logits),
    fake=lambda logits: _per_sample(logits),
    generator=lambda logits: _per_sample(-logits),
)
"""Difference of means (Arjovsky 2017, equation 3), for a discriminator of the user's own that is kept Lipschitz."""

LOSSES: Mapping[LossName, AdversarialLoss] = MappingProxyType(
    {
        "bce": BCE,
        "minimax": MINIMAX,
        "least-squares": LEAST_SQUARES,
        "hinge": HINGE,
        "wasserstein": WASSERSTEIN,
    }
)
