"""Precision and recall of generated images by nearest neighbours among features.

Kynkäänniemi 2019, "Improved precision and recall metric for assessing generative models", equations 1 and 2.
"""

import torch
from torch import Tensor

from flower_dgan.errors import DataError

NEIGHBOURS = 3
"""k of the paper's experiments."""

_ROWS = 1000


def precision(real: Tensor, synthetic: Tensor) -> float:
    """Return the share of synthetic samples that lie where real ones do: how real they look.

    Around each real sample there is a ball that reaches to its third nearest other real sample; a synthetic sample
    counts if it is in one of the balls or on its surface.

    Parameters
    ----------
    real, synthetic : float Tensor (samples, features)
        At least four real samples, and one synthetic.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    DataError
        There are too few samples, or the sets have other features.
    """
    if len(real) <= NEIGHBOURS or not len(synthetic) or real.shape[1:] != synthetic.shape[1:]:
        raise DataError(
            f"Precision and recall need more than {NEIGHBOURS} samples on each side with the same features, not "
            f"{tuple(real.shape)} and {tuple(synthetic.shape)}."
        )
    first, second = real.double(), synthetic.double()
    # A sample is the nearest to itself, which is no neighbour.
    radii = torch.cat(
        [_distances(rows, first).kthvalue(NEIGHBOURS + 1, dim=1).values for rows in torch.split(first, _ROWS)]
    )
    inside = torch.cat([(_distances(rows, first) <= radii).any(1) for rows in torch.split(second, _ROWS)])
    return float(inside.double().mean())


def recall(real: Tensor, synthetic: Tensor) -> float:
    """Return the share of real samples that lie where synthetic ones do, how much is covered: precision turned round.

    Raises
    ------
    DataError
        As :func:`precision`.
    """
    return precision(synthetic, real)


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """Return Euclidean distances without the shortcut by a matrix product, by which equal samples are not 0 apart."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
