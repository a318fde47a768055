"""A discriminator of patches at two scales that is told the class of each, beside ``networks/spade.py``."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.networks.condition import class_features

_SCALES = 2
_HALVINGS = 3


class PatchesOfClasses(nn.Module):
    """A score for each 8 x 8 region, of which it sees 54 x 54 pixels.

    The label map is read beside the image (Isola et al. 2017), and once more by projection (Miyato and Koyama 2018,
    "cGANs with Projection Discriminator", equation 3), at each patch p on its own,

        f_p = psi(h_p) + v(y_p) h_p,

    with h_p the features of the patch, y_p the shares of the classes in its region and v linear. Where label maps are
    constant, y_p is the class of the image.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps and of the images.
    width : int
        Channels of the first layer; 2, 4 and 8 times as many after it.
    """

    def __init__(self, classes: int, channels: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(classes + channels, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 8 * width, 3, 1, 1),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Conv2d(8 * width, 1, 3, 1, 1)
        self.told = class_features(classes)
        self.project = nn.Conv2d(self.told, 8 * width, 1, bias=False) if self.told else None
        if self.project is not None:
            nn.init.normal_(self.project.weight, 0, 0.02)  # a class has little to say before it has learned

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the scores (batch, 1, height / 8, width / 8)."""
        features = self.features(torch.cat([label_maps, images], 1))
        scores = self.score(features)
        if self.project is not None:
            shares = F.avg_pool2d(label_maps, 2**_HALVINGS)
            scores = scores + (self.project(shares) * features).sum(1, keepdim=True)
        return scores  # type: ignore[no-any-return]


class MultiScaleDiscriminator(nn.Module):
    """Patches of the image and of the image at half its side, of which each scale has a network of its own.

    Wang et al. 2018 (pix2pixHD), section 3.2, with two scales, as Park et al. 2019 have it: patches of 54 pixels, and
    of 108. Deviation: no normalisation. Statistics of a minibatch in it would let the feedback on an image depend on
    the others in its batch; those of an image would hide its contrast. What holds it back is R1
    (``algorithm.gradient_penalty``), in place of spectral norm, whose power iteration would make feedback depend on how
    often the network was asked before.

    Parameters
    ----------
    classes, channels, width : int
        As in :class:`PatchesOfClasses`.
    """

    def __init__(self, classes: int, channels: int, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchesOfClasses(classes, channels, width) for _ in range(_SCALES))

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the scores (batch, 2, height / 8, width / 8), a channel a scale.

        A score of the coarse scale stands at all four places that it is about, so that both scales count the same in a
        mean.
        """
        scores = []
        for level, network in enumerate(self.scales):
            smaller = (F.avg_pool2d(each, 2**level) for each in (label_maps, images))
            scores.append(F.interpolate(network(*smaller), scale_factor=2**level))
        return torch.cat(scores, 1)
