"""The U-Net generator of pix2pix."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.condition import condition, condition_channels
from flower_dgan.networks.limits import GENERATOR_SIZES, require_size


class _Level(nn.Module):
    """One level of the U-Net: down, the level below, up, and a skip connection around."""

    def __init__(self, outer: int, inner: int, below: nn.Module | None) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1)]
        if below is not None:
            down.append(nn.InstanceNorm2d(inner))  # the innermost level is 1 x 1: nothing to normalise
        self.down = nn.Sequential(*down)
        self.below = below
        self.up = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(inner if below is None else 2 * inner, outer, 4, 2, 1),
            nn.InstanceNorm2d(outer),
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.down(x)
        return torch.cat([x, self.up(inner if self.below is None else self.below(inner))], 1)


class UnetGenerator(nn.Module):
    """Encoder and decoder with skip connections, down to 1 x 1.

    Isola et al. 2017, section 6.1.1: C64-C128-C256-C512-C512-... and back. Deviations: instance instead of batch
    normalisation and noise as an input instead of dropout, so that a second pass gives the same images.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps and of the images.
    width : int
        Channels of the first layer; 64 in the paper.
    image_size : int
        Height and width, a power of two and at least 8.
    noise_channels, sites : int
        Length of the noise vector, and number of sites; 0 for none.

    Raises
    ------
    ValueError
        If ``image_size`` is no power of two or below 8.
    """

    def __init__(
        self, classes: int, channels: int, width: int, image_size: int, noise_channels: int = 0, sites: int = 0
    ) -> None:
        super().__init__()
        require_size(GENERATOR_SIZES["unet"], image_size)
        depth = image_size.bit_length() - 1
        self.sites = sites
        widths = [width * min(2**level, 8) for level in range(depth)]
        level: _Level | None = None
        for outer, inner in reversed(list(pairwise(widths))):
            level = _Level(outer, inner, level)
        self.layers = nn.Sequential(
            nn.Conv2d(condition_channels(classes, noise_channels, sites), width, 4, 2, 1),
            *([level] if level is not None else []),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, image_size, image_size) in [-1, 1]."""
        return self.layers(condition(inputs, self.sites))  # type: ignore[no-any-return]
