"""The dense model of instance segmentation: a small U-Net that says of each pixel what lies there.

Ronneberger 2015, "U-Net", at a hundredth of its size. Its maps are foreground, crossings and, where it has the head,
centre lines; :mod:`flower_dgan.tasks.instances.tracing` makes objects of them.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.device import to_device
from flower_dgan.tasks.instances.scale import Scale

WIDTHS = (16, 24, 40, 64, 96)
"""Channels at full size, half, a quarter, ..."""
FOREGROUND, CROSSING, LINE = range(3)
"""The maps in the order of the channels of the output."""
_NEAR, _BLUR = 9, 21
_STRENGTH, _SHIFT = (0.8, 1.25), (-0.2, 0.2)


class LocalContrast(nn.Module):
    """Divides images by how bright it is around each pixel, so that the dark rim of a well looks like its middle.

    Brightness is the maximum over nine pixels, blurred by three box filters. In training contrast and brightness vary
    from image to image. No parameters.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Take and return float32 (batch, channels, height, width), in [-1, 1] and about as large."""
        bright = (images + 1) * 127.5 + 2
        around = F.max_pool2d(bright, _NEAR, 1, _NEAR // 2)
        for _ in range(3):
            around = F.avg_pool2d(around, _BLUR, 1, _BLUR // 2, count_include_pad=False)
        found = (bright / around - 0.8) / 0.25
        if self.training:
            drawn = (torch.empty(len(images), 1, 1, 1).uniform_(*each) for each in (_STRENGTH, _SHIFT))
            strength, shift = (to_device(each, images.device) for each in drawn)  # drawn alike on every device
            found = found * strength + shift
        return found


class DenseModel(nn.Module):
    """Maps of images of any size of at least 16 pixels a side.

    Parameters
    ----------
    channels : int
        Of the images.
    skeleton : bool
        Whether there is a head for centre lines.
    used : bool
        Whether objects are traced along what it finds; without, along the thinned foreground.

    Attributes
    ----------
    used : bool
        As given.
    scale : Scale
        How long and wide the objects are that it learned; buffers, which are kept with the weights.
    threshold : float
        From which score on an object counts; a buffer, too.
    """

    measures: Tensor
    threshold: Tensor

    def __init__(self, channels: int, *, skeleton: bool, used: bool) -> None:
        super().__init__()
        self.used = used
        self.contrast = LocalContrast()
        self.stem = _block(channels, WIDTHS[0], 1)
        self.down = nn.ModuleList(
            nn.Sequential(_block(above, below, 2), _block(below, below, 1)) for above, below in pairwise(WIDTHS)
        )
        self.up = nn.ModuleList(_block(above + below, above, 1) for above, below in reversed([*pairwise(WIDTHS)]))
        self.heads = nn.Conv2d(WIDTHS[0], 3 if skeleton else 2, 1)
        nn.init.constant_(self.heads.bias, -2.0)  # type: ignore[arg-type]  # most pixels are none of the three
        self.register_buffer("measures", torch.ones(2))
        self.register_buffer("threshold", torch.zeros(()))

    @property
    def scale(self) -> Scale:
        """How long and wide objects are."""
        return Scale(*self.measures.tolist())

    def forward(self, images: Tensor) -> Tensor:
        """Make logits (batch, maps, height, width) of float32 images (batch, channels, height, width) in [-1, 1]."""
        found = [self.stem(self.contrast(images))]
        for block in self.down:
            found.append(block(found[-1]))
        whole: Tensor = found.pop()
        for block in self.up:
            beside = found.pop()
            whole = block(torch.cat([F.interpolate(whole, beside.shape[2:]), beside], 1))
        logits: Tensor = self.heads(whole)
        return logits


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
