"""Networks that work in units of each site's levels, see ``flower_dgan.data.levels``."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flower_dgan.data.levels import Levels
from flower_dgan.device import device_of, to_device


class SiteLevels(nn.Module):
    """Makes images of what a generator draws in units of each site's mean and standard deviation.

    Parameters
    ----------
    levels : sequence of Levels
        Of each site, in the order of their indices.
    """

    means: Tensor
    deviations: Tensor
    grey: Tensor

    def __init__(self, levels: Sequence[Levels]) -> None:
        super().__init__()
        self.register_buffer("means", torch.stack([each.means for each in levels])[:, :, None, None])
        self.register_buffer("deviations", torch.stack([each.deviations for each in levels])[:, :, None, None])
        self.register_buffer("grey", torch.tensor([float(each.grey) for each in levels])[:, None, None, None])

    def forward(self, drawn: Tensor, sites: Tensor) -> Tensor:
        """Return ``mean + deviation * drawn`` (batch, channels, height, width), not clamped; sites are (batch,).

        For a grey site the channels of what was drawn are averaged.
        """
        drawn = torch.where(self.grey[sites] > 0, drawn.mean(1, keepdim=True), drawn)
        return self.means[sites] + self.deviations[sites] * drawn


class InUnitsOf(nn.Module):
    """A discriminator that sees images in units of one client's levels.

    Parameters
    ----------
    network : nn.Module
        Called as ``network(label_maps, (images - mean) / deviation)``.
    levels : Levels
        The client's.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, levels: Levels) -> None:
        super().__init__()
        self.network = network
        # Not among what it has learned: no checkpoint holds them, and each client has its own.
        self.register_buffer("mean", levels.means[:, None, None], persistent=False)
        self.register_buffer("deviation", levels.deviations[:, None, None], persistent=False)

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the network's logits of images (batch, channels, height, width)."""
        logits: Tensor = self.network(label_maps, (images - self.mean) / self.deviation)
        return logits


def units_of(network: nn.Module, sites: Tensor) -> Tensor:
    """Return the lengths (batch or 1, channels or 1, 1, 1) in which a generator draws: the sites' deviations, or 1.

    They are on the generator's device.
    """
    levels, device = getattr(network, "levels", None), device_of(network)
    if not isinstance(levels, SiteLevels):
        return torch.ones(1, 1, 1, 1, device=device)
    return levels.deviations.index_select(0, to_device(sites, device))
