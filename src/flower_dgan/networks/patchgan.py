"""The patch discriminator of pix2pix and AsynDGAN."""

import torch
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Scores overlapping patches of 70 x 70 pixels.

    Isola et al. 2017, section 6.1.2: C64-C128-C256-C512, the last with stride 1, and one more convolution to the score;
    instance normalisation. With 3 + 3 channels and width 64 it has 2,767,809 parameters.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps and of the images.
    width : int
        Channels of the first layer; 64 in the paper.
    layers : int
        Strided layers: 3 for 70 x 70 patches, 2 for 34 x 34, 1 for 16 x 16.
    """

    def __init__(self, classes: int, channels: int, width: int, layers: int = 3) -> None:
        super().__init__()
        modules: list[nn.Module] = [nn.Conv2d(classes + channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        size = width
        for layer in range(1, layers + 1):
            wider = width * min(2**layer, 8)
            modules += [
                nn.Conv2d(size, wider, 4, 2 if layer < layers else 1, 1),
                nn.InstanceNorm2d(wider),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            size = wider
        modules.append(nn.Conv2d(size, 1, 4, 1, 1))
        self.layers = nn.Sequential(*modules)

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the scores (batch, 1, height, width) of the patches."""
        return self.layers(torch.cat([label_maps, images], 1))  # type: ignore[no-any-return]
