"""A generator for images of 64 to 256 pixels that need a GPU: the label map sets the normalisation at every scale."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.data.levels import Levels
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.site_levels import SiteLevels
from flower_dgan.networks.limits import GENERATOR_SIZES, require_size
from flower_dgan.networks.small import groups_of, straight_through_clamp

_STYLE = 256
_WIDTHS = (16, 16, 16, 8, 4, 2, 1)
"""Channels of the entry, and after each block, in widths."""


class Spade(nn.Module):
    """Normalisation whose scale and shift come from the label map at each pixel, and from the style vector.

    Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization", equation 1 and figure 3, beside
    AdaIN (Huang and Belongie 2017) of the style:

        h = norm(x) (1 + gamma(y) + a(s)) + beta(y) + b(s).

    Where label maps are constant, gamma(y) and beta(y) are an embedding of the class.

    Parameters
    ----------
    channels : int
        Of what is normalised.
    classes : int
        Channels of the label maps.
    hidden : int
        Channels between label map and gamma, beta.
    """

    def __init__(self, channels: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.normalize = nn.GroupNorm(groups_of(channels), channels, affine=False)
        self.read = nn.Conv2d(classes, hidden, 3, padding=1, padding_mode="replicate")
        self.of_map = nn.Conv2d(hidden, 2 * channels, 3, padding=1, padding_mode="replicate")
        self.of_style = nn.Linear(_STYLE, 2 * channels)
        nn.init.zeros_(self.of_style.bias)

    def forward(self, x: Tensor, label_maps: Tensor, style: Tensor) -> Tensor:
        """Return h (batch, channels, height, width); label maps are as high and wide as x."""
        scale_shift = self.of_map(F.relu(self.read(label_maps))) + self.of_style(style)[:, :, None, None]
        scale, shift = scale_shift.chunk(2, 1)
        return self.normalize(x) * (1 + scale) + shift  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Two convolutions behind a SPADE each, with texture of learned strength between them, around a skip connection."""

    def __init__(self, inner: int, outer: int, classes: int, hidden: int) -> None:
        super().__init__()
        middle = min(inner, outer)
        self.first, self.second = Spade(inner, classes, hidden), Spade(middle, classes, hidden)
        self.conv1 = nn.Conv2d(inner, middle, 3, padding=1, padding_mode="replicate")
        self.conv2 = nn.Conv2d(middle, outer, 3, padding=1, padding_mode="replicate")
        self.skip = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1, bias=False)
        self.texture_strength = nn.Parameter(torch.full((middle, 1, 1), 0.1))

    def forward(self, x: Tensor, label_maps: Tensor, style: Tensor, texture: Tensor) -> Tensor:
        hidden = self.conv1(F.leaky_relu(self.first(x, label_maps, style), 0.2)) + self.texture_strength * texture
        hidden = self.conv2(F.leaky_relu(self.second(hidden, label_maps, style), 0.2))
        return self.skip(x) + hidden  # type: ignore[no-any-return]


class SpadeGenerator(nn.Module):
    """From the label map at 1/32 of the side up to the image in six blocks.

    Park et al. 2019, appendix A: with width 64 blocks of 1024, 1024, 512, 256, 128 and 64 channels, the image twice as
    large after each but the last. Noise and site make a style vector, and texture is added at every
    scale, as in :class:`~flower_dgan.networks.small.SmallGenerator`.

    Deviations: group instead of batch normalisation, so that an image depends on its own input alone, as the server
    draws a batch a second time in other parts; the style enters at every scale instead of at the first alone; label
    maps are averaged down, so that a thin foreground is left of them; the first layer reads the label map, as in the
    released code without its encoder; one block of 1024 channels fewer; no spectral norm; the border is repeated.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps and of the images.
    width : int
        Channels at full resolution; 64 in the paper.
    image_size : int
        Height and width, divisible by 32.
    noise_channels, sites : int
        Length of the noise vector, and number of sites; 0 for none.
    levels : sequence of Levels
        Those of each site, in whose units the last layer draws; empty for units of [-1, 1].

    Raises
    ------
    ValueError
        If ``image_size`` is not divisible by 32.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        width: int,
        image_size: int,
        noise_channels: int = 0,
        sites: int = 0,
        levels: Sequence[Levels] = (),
    ) -> None:
        super().__init__()
        require_size(GENERATOR_SIZES["spade"], image_size)
        widths, hidden = [each * width for each in _WIDTHS], 2 * width
        self.style = nn.Sequential(nn.Linear(noise_channels, _STYLE), nn.LeakyReLU(0.2), nn.Linear(_STYLE, _STYLE))
        self.site = nn.Embedding(sites, _STYLE) if sites else None
        self.enter = nn.Conv2d(classes, widths[0], 3, padding=1, padding_mode="replicate")
        self.blocks = nn.ModuleList(_Block(inner, outer, classes, hidden) for inner, outer in pairwise(widths))
        self.leave = nn.Conv2d(widths[-1], channels, 3, padding=1, padding_mode="replicate")
        self.levels = SiteLevels(levels) if levels else None

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, height, width) in [-1, 1]."""
        style = self.style(inputs.noise)
        if self.site is not None:
            style = style + self.site(inputs.sites)
        style = F.leaky_relu(style, 0.2)
        scale = 2 ** (len(self.blocks) - 1)
        x = self.enter(F.avg_pool2d(inputs.label_maps, scale))
        for block in self.blocks:
            label_maps = F.avg_pool2d(inputs.label_maps, scale)
            # the mean of n standard normal values, times the root of n, is standard normal again
            texture = scale * F.avg_pool2d(inputs.texture, scale)
            x = block(x, label_maps, style, texture)
            if scale > 1:
                x, scale = F.interpolate(x, scale_factor=2), scale // 2
        drawn = self.leave(F.leaky_relu(x, 0.2))
        return straight_through_clamp(drawn if self.levels is None else self.levels(drawn, inputs.sites))
