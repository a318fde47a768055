"""KID: the squared maximum mean discrepancy of the features; around 0 for alike, as it is unbiased.

Binkowski 2018, "Demystifying MMD GANs", section 4.
"""

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from flower_dgan.metrics import ImageMetric
from flower_dgan.metrics.shared.finite import require_finite

_SUBSET, _SUBSETS = 1000, 100


def kernel_distance(real: Tensor, synthetic: Tensor) -> float:
    """Return the kernel distance: the unbiased squared MMD with the kernel (x . y / features + 1)^3, in float64.

    It is the mean over 100 subsets of 1,000 samples of each side, always the same ones, or over all samples where there
    are 1,000 or fewer. As it is unbiased, it is around 0, also below, for alike sets of any size.

    Parameters
    ----------
    real, synthetic : Tensor (samples, features)
        As many of both, at least two.

    Raises
    ------
    DataError
        A value is not finite, or too large for the kernel.
    """
    require_finite(real, "The features of real images")
    require_finite(synthetic, "The features of synthetic images")
    few = len(real) <= _SUBSET
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
        torch.default_generator.manual_seed(0)
        metric = KernelInceptionDistance(
            nn.Identity(), subsets=1 if few else _SUBSETS, subset_size=min(len(real), _SUBSET)
        )
        metric.update(real.double(), real=True)
        metric.update(synthetic.double(), real=False)
        distance: Tensor = metric.compute()[0]
    require_finite(distance, "The values of the kernel")
    return float(distance)


METRIC = ImageMetric(kernel_distance, wanted=lambda _: 100, best="lowest")
