"""A discriminator that segments: each pixel is one of the classes, or synthetic."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class SegmenterDiscriminator(nn.Module):
    """A small U-Net with spectral norm and one output channel more than there are classes.

    The discriminator of OASIS (Schoenfeld et al. 2021, section 3.1) at the size of a CPU. It sees the image only: the
    label map is what it predicts, see the loss ``segmentation``.

    Parameters
    ----------
    classes, channels : int
        Classes of the label maps, and channels of the images.
    width : int
        Channels at half resolution; 1.5 and twice as many below.
    """

    def __init__(self, classes: int, channels: int, width: int) -> None:
        super().__init__()
        half, quarter, eighth = width, width * 3 // 2, width * 2
        self.down1 = spectral_norm(nn.Conv2d(channels, half, 4, 2, 1))
        self.down2 = spectral_norm(nn.Conv2d(half, quarter, 4, 2, 1))
        self.down3 = spectral_norm(nn.Conv2d(quarter, eighth, 4, 2, 1))
        self.bottom = spectral_norm(nn.Conv2d(eighth, eighth, 3, 1, 1))
        self.up2 = spectral_norm(nn.Conv2d(eighth, quarter, 1))
        self.mix2 = spectral_norm(nn.Conv2d(quarter, quarter, 3, 1, 1))
        self.up1 = spectral_norm(nn.Conv2d(quarter, half, 1))
        self.mix1 = spectral_norm(nn.Conv2d(half, half, 3, 1, 1))
        self.leave = nn.Conv2d(half, 4 * (classes + 1), 3, 1, 1)

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return logits (batch, classes + 1, height, width), the last channel for 'synthetic'; sides divisible by 8."""
        level1 = F.leaky_relu(self.down1(images), 0.2)
        level2 = F.leaky_relu(self.down2(level1), 0.2)
        level3 = F.leaky_relu(self.down3(level2), 0.2)
        level3 = F.leaky_relu(self.bottom(level3) + level3, 0.2)
        level2 = F.leaky_relu(self.mix2(level2 + _double(self.up2(level3))), 0.2)
        level1 = F.leaky_relu(self.mix1(level1 + _double(self.up1(level2))), 0.2)
        return F.pixel_shuffle(self.leave(level1), 2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
