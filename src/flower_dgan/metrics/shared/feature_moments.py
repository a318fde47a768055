"""The Fréchet distance of two sets of features, from the features or from moments that several sites computed apart.

Heusel 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium" (FID); the pooled
distance without pooled images is Dist-FID of Chang 2023, "Mining multi-center heterogeneous medical data with
distributed synthetic learning".
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from flower_dgan.errors import DataError
from flower_dgan.metrics.shared.finite import require_finite


@dataclass(frozen=True)
class Moments:
    """All that a Fréchet distance wants to know of a set of features.

    Attributes
    ----------
    count : int
        Number of samples, at least 1.
    mean : float64 Tensor (features,)
        Their mean.
    scatter : float64 Tensor (features, features)
        Sum of the outer products of the deviations from the mean: ``count`` - 1 times the unbiased covariance. Unlike
        that, there is one of a single sample.
    """

    count: int
    mean: Tensor
    scatter: Tensor


def moments_of(features: Tensor) -> Moments:
    """Return the moments of features (samples, features), computed in float64; raises DataError without a sample."""
    if features.ndim != 2 or not len(features):
        raise DataError(f"Moments need one sample or more, (samples, features), not {tuple(features.shape)}.")
    values = features.double()
    mean = values.mean(0)
    return Moments(len(values), mean, (values - mean).T @ (values - mean))


def combine_moments(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all samples together, which nobody needs to see: those of pooled samples, up to rounding.

    Chan 1983, "Algorithms for computing the sample variance", in several dimensions.

    Raises
    ------
    DataError
        There is no part, or the parts are of other features.
    """
    whole: Moments | None = None
    for part in parts:
        if whole is None:
            whole = part
            continue
        if part.mean.shape != whole.mean.shape:
            raise DataError(f"Moments of {len(whole.mean)} and of {len(part.mean)} features do not combine.")
        count = whole.count + part.count
        shift = part.mean - whole.mean
        scatter = whole.scatter + part.scatter + torch.outer(shift, shift) * (whole.count * part.count / count)
        whole = Moments(count, whole.mean + shift * (part.count / count), scatter)
    if whole is None:
        raise DataError("There are no moments to combine.")
    return whole


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return :func:`frechet_of_moments` of two sets of features (samples, features); raises as it does."""
    return frechet_of_moments(moments_of(first), moments_of(second))


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance of the Gaussians with these moments.

    |mu_1 - mu_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)), in float64, with the unbiased covariances (divisor n - 1).

    Raises
    ------
    DataError
        There are too few samples, the sets have other features, or moments are not finite.
    """
    shapes = [(each.count, len(each.mean)) for each in (first, second)]
    if min(first.count, second.count) < 2 or first.mean.shape != second.mean.shape:
        raise DataError(
            f"A Fréchet distance needs two samples or more of the same features, not {shapes[0]} and {shapes[1]}."
        )
    for each, which in ((first, "first"), (second, "second")):
        for moment, kind in ((each.mean, "means"), (each.scatter, "covariances")):
            require_finite(moment, f"The {kind} of the {which} set of features")
    covariances = [each.scatter / (each.count - 1) for each in (first, second)]
    product = covariances[0] @ covariances[1]
    require_finite(product, "The products of the covariances")  # finite ones may be too large for it
    root = torch.linalg.eigvals(product).sqrt().real.sum()  # the trace of the matrix root
    distance = (first.mean - second.mean).square().sum() + sum(each.trace() for each in covariances) - 2 * root
    require_finite(distance, "The terms of a Fréchet distance")
    return max(0.0, float(distance))  # rounding may end just below
