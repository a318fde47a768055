"""A pair of networks that trains on two slow cores."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.data.levels import Levels
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.site_levels import SiteLevels
from flower_dgan.networks.limits import GENERATOR_SIZES, require_size


def groups_of(channels: int) -> int:
    """Return the number of groups of a group normalisation: of 8 channels or a little more, 1 if they do not divide."""
    groups = max(1, channels // 8)
    return 1 if channels % groups else groups


def _convolution(inner: int, outer: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution.

    As all convolutions of the generator it repeats the border: zeros tell where the border is, and a generator that
    knows draws frames, and squares in the middle.
    """
    return nn.Conv2d(inner, outer, 3, padding=1, padding_mode="replicate")


def _half(inner: int, outer: int) -> nn.Conv2d:
    """Return a convolution to half the side, which repeats the border too."""
    return nn.Conv2d(inner, outer, 4, stride=2, padding=1, padding_mode="replicate")


class _Modulation(nn.Module):
    """Normalisation whose scale and shift come from the style vector (AdaIN; Huang and Belongie 2017)."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.normalize = nn.GroupNorm(groups_of(channels), channels, affine=False)
        self.scale_shift = nn.Linear(style, 2 * channels)
        nn.init.zeros_(self.scale_shift.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.scale_shift(style)[:, :, None, None].chunk(2, 1)
        return self.normalize(x) * (1 + scale) + shift  # type: ignore[no-any-return]


class _StyledBlock(nn.Module):
    """Two modulated convolutions around a skip connection, with texture of learned strength between them."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.first, self.second = _Modulation(channels, style), _Modulation(channels, style)
        self.conv1 = _convolution(channels, channels)
        self.conv2 = _convolution(channels, channels)
        self.texture_strength = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, x: Tensor, style: Tensor, texture: Tensor) -> Tensor:
        hidden = self.conv1(F.leaky_relu(self.first(x, style), 0.2)) + self.texture_strength * texture
        return x + self.conv2(F.leaky_relu(self.second(hidden, style), 0.2))  # type: ignore[no-any-return]


class SmallGenerator(nn.Module):
    """A U-Net of three scales; noise and site set the style and texture is added at every scale.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps and of the images.
    width : int
        Channels at full resolution; twice and four times as many below.
    image_size : int
        Height and width, divisible by 4.
    noise_channels, sites : int
        Length of the noise vector, and number of sites; 0 for none.
    levels : sequence of Levels
        Those of each site, in whose units the last layer draws; empty for units of [-1, 1].

    Raises
    ------
    ValueError
        If ``image_size`` is not divisible by 4.
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
        require_size(GENERATOR_SIZES["small"], image_size)
        style = 64
        self.style = nn.Sequential(nn.Linear(noise_channels, style), nn.LeakyReLU(0.2), nn.Linear(style, style))
        self.site = nn.Embedding(sites, style) if sites else None
        self.enter = _convolution(classes + 1, width)
        self.down1 = _half(width, 2 * width)
        self.down2 = _half(2 * width, 4 * width)
        self.block2a, self.block2b = _StyledBlock(4 * width, style), _StyledBlock(4 * width, style)
        self.up1 = nn.Conv2d(6 * width, 2 * width, 1)
        self.block1 = _StyledBlock(2 * width, style)
        self.up0 = nn.Conv2d(3 * width, width, 1)
        self.block0 = _StyledBlock(width, style)
        self.finish = _Modulation(width, style)
        self.leave = _convolution(width, channels)
        self.levels = SiteLevels(levels) if levels else None

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, height, width) in [-1, 1]."""
        drawn = self.leave(self.features(inputs))
        return straight_through_clamp(drawn if self.levels is None else self.levels(drawn, inputs.sites))

    def features(self, inputs: GeneratorInput) -> Tensor:
        """Return what the output layer ``leave`` makes the images of, (batch, width, height, width of the image)."""
        style = self.style(inputs.noise)
        if self.site is not None:
            style = style + self.site(inputs.sites)
        style = F.leaky_relu(style, 0.2)
        texture0 = inputs.texture
        # the mean of 4 (16) standard normal values, times 2 (4), is standard normal again
        texture1, texture2 = 2 * F.avg_pool2d(texture0, 2), 4 * F.avg_pool2d(texture0, 4)
        level0 = self.enter(torch.cat([2 * inputs.label_maps - 1, texture0], 1))
        level1 = self.down1(F.leaky_relu(level0, 0.2))
        level2 = self.down2(F.leaky_relu(level1, 0.2))
        level2 = self.block2b(self.block2a(level2, style, texture2), style, texture2)
        level1 = self.block1(self.up1(torch.cat([_double(level2), level1], 1)), style, texture1)
        level0 = self.block0(self.up0(torch.cat([_double(level1), level0], 1)), style, texture0)
        return F.leaky_relu(self.finish(level0, style), 0.2)


class SmallDiscriminator(nn.Module):
    """Two strided convolutions and a score for each 4 x 4 region, of which it sees 26 x 26 pixels.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps and of the images.
    width : int
        Channels of the first layer.
    """

    def __init__(self, classes: int, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(classes + channels, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, 1, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, 1, 1),
        )

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the scores (batch, 1, height / 4, width / 4)."""
        return self.layers(torch.cat([label_maps, images], 1))  # type: ignore[no-any-return]


def straight_through_clamp(images: Tensor) -> Tensor:
    """Clamp to [-1, 1] with the gradient of the identity.

    Tanh saturates on white background, and a plain clamp has no way back.
    """
    return images + (images.clamp(-1, 1) - images).detach()


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear")
