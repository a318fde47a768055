"""The convolutional networks of DCGAN."""

import torch
from torch import Tensor, nn

from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.condition import class_features, class_vector, condition_vector
from flower_dgan.networks.limits import GENERATOR_SIZES, dcgan_base, require_size


class DcganGenerator(nn.Module):
    """Noise to image by transposed convolutions, each of which doubles the side.

    Radford et al. 2016, section 3 and figure 1: from 4 x 4 (7 x 7 for 28 pixels) up to the image, ReLU, tanh, weights
    from N(0, 0.02). With 100 values of noise, 3 channels, 64 pixels and width 64 it has 3,576,704 parameters, as many
    as PyTorch's example. Deviation: group instead of batch normalisation. The server draws a batch a second time, in
    other parts, and must get the same images, while batch statistics tie the samples of a batch to each other. The
    class and the site are inputs beside the noise.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps, which are constant, and of the images.
    width : int
        Channels of the last hidden layer; 128 in the paper's figure.
    image_size : int
        Height and width: 4, 5, 6 or 7 times a power of two, at least 8.
    noise_channels : int
        Length of the noise vector, at least 1.
    sites : int
        Number of sites; 0 for none.

    Raises
    ------
    ValueError
        If the size is another, or there is no noise to draw from.
    """

    def __init__(
        self, classes: int, channels: int, width: int, image_size: int, noise_channels: int, sites: int = 0
    ) -> None:
        super().__init__()
        self.sites = sites
        if not noise_channels:
            raise ValueError("it draws from noise alone: set model.noise_channels=100")
        base, widths = _base(image_size), _widths(width, image_size)[::-1]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(noise_channels + class_features(classes) + sites, widths[0], base, bias=False)
        ]
        for inner, outer in zip(widths, [*widths[1:], channels], strict=True):
            layers += [_normalization(inner), nn.ReLU(), nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=False)]
        self.layers = nn.Sequential(*layers, nn.Tanh()).apply(_initialize)

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, image_size, image_size) in [-1, 1]."""
        return self.layers(condition_vector(inputs, self.sites)[:, :, None, None])  # type: ignore[no-any-return]


class DcganDiscriminator(nn.Module):
    """Image to one score by strided convolutions, each of which halves the side.

    Radford et al. 2016, section 3: leaky ReLU of slope 0.2, normalisation in all but the first layer, weights from
    N(0, 0.02). With 3 channels, 64 pixels and width 64 it has 2,765,568 parameters, as many as PyTorch's example.
    Deviation: group instead of batch normalisation, so that the feedback on an image depends on that image alone. The
    class is given as constant planes beside the image.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps, which are constant, and of the images.
    width : int
        Channels of the first layer.
    image_size : int
        Height and width: 4, 5, 6 or 7 times a power of two, at least 8.

    Raises
    ------
    ValueError
        If the size is another.
    """

    def __init__(self, classes: int, channels: int, width: int, image_size: int) -> None:
        super().__init__()
        base, widths = _base(image_size), _widths(width, image_size)
        layers: list[nn.Module] = []
        for inner, outer in zip([channels + class_features(classes), *widths], widths, strict=False):
            layers.append(nn.Conv2d(inner, outer, 4, 2, 1, bias=False))
            if len(layers) > 1:
                layers.append(_normalization(outer))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(widths[-1], 1, base, bias=False))
        self.layers = nn.Sequential(*layers).apply(_initialize)

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the scores (batch, 1, 1, 1)."""
        planes = class_vector(label_maps)[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return self.layers(torch.cat([images, planes], 1))  # type: ignore[no-any-return]


def _base(image_size: int) -> int:
    """Return the smallest side: what is left of the image's when it was halved down to 4 .. 7."""
    require_size(GENERATOR_SIZES["dcgan"], image_size)
    return dcgan_base(image_size)


def _widths(width: int, image_size: int) -> list[int]:
    """Return the channels of the layers, from the image's side down to the smallest."""
    halvings = (image_size // _base(image_size)).bit_length() - 1
    return [width * min(2**level, 8) for level in range(halvings)]


def _normalization(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(1 if channels % 8 else channels // 8, channels)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
