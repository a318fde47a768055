"""Which samples lie where others do, by nearest neighbours among features: precision and recall of generated images.

Kynkäänniemi 2019, "Improved precision and recall metric for assessing generative models", equations 1 and 2.
"""

import torch
from torch import Tensor

from flower_dgan.errors import DataError
from flower_dgan.metrics.shared.finite import require_finite

NEIGHBOURS = 3
"""k of the paper's experiments."""

_ROWS = 1000


def share_inside(centres: Tensor, samples: Tensor) -> float:
    """Return the share of samples that lie where others, the centres, do.

    Around each centre there is a ball that reaches to its third nearest other centre; a sample counts if it is in one
    of the balls or on its surface.

    Parameters
    ----------
    centres, samples : float Tensor (samples, features)
        At least four centres, and one sample.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    DataError
        There are too few samples, the sets have other features, or a value is not finite.
    """
    if len(centres) <= NEIGHBOURS or not len(samples) or centres.shape[1:] != samples.shape[1:]:
        raise DataError(
            f"Precision and recall need more than {NEIGHBOURS} samples on each side with the same features, not "
            f"{tuple(centres.shape)} and {tuple(samples.shape)}."
        )
    require_finite(centres, "The features whose neighbours are looked for")
    require_finite(samples, "The features that may lie among others")
    first, second = centres.double(), samples.double()
    # A sample is the nearest to itself, which is no neighbour.
    radii = torch.cat(
        [_distances(rows, first).kthvalue(NEIGHBOURS + 1, dim=1).values for rows in torch.split(first, _ROWS)]
    )
    inside = torch.cat([(_distances(rows, first) <= radii).any(1) for rows in torch.split(second, _ROWS)])
    return float(inside.double().mean())


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """Return Euclidean distances without the shortcut by a matrix product, by which equal samples are not 0 apart."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
