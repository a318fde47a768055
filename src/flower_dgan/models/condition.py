"""The condition of the papers' generators: label maps with noise and site as constant channels."""

import torch
import torch.nn.functional as F
from torch import Tensor


def condition_channels(classes: int, noise_channels: int, sites: int) -> int:
    """Return the channels of :func:`condition`; ``sites`` is 0 without site condition."""
    return classes + noise_channels + sites


def condition(label_maps: Tensor, noise: Tensor, sites: Tensor, site_count: int) -> Tensor:
    """Stack label maps, noise and one-hot site, the latter two spread over the image.

    Parameters
    ----------
    label_maps : Tensor, (batch, classes, height, width)
        One-hot.
    noise : Tensor, (batch, noise_channels)
        Standard normal.
    sites : Tensor, int64, (batch,)
        Site indices; unused where ``site_count`` is 0.
    site_count : int
        Number of sites, or 0 for no site condition.

    Returns
    -------
    Tensor, (batch, classes + noise_channels + site_count, height, width)
    """
    parts = [noise]
    if site_count:
        parts.append(F.one_hot(sites, site_count).to(noise.dtype))
    constants = torch.cat(parts, 1)[:, :, None, None].expand(-1, -1, *label_maps.shape[2:])
    return torch.cat([label_maps, constants], 1)
