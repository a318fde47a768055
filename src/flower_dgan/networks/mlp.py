"""The fully connected networks that papers on distributed GANs train on MNIST."""

import torch
from torch import Tensor, nn

from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.condition import class_features, class_vector, condition_vector


class MlpGenerator(nn.Module):
    """Noise to image in three layers.

    Hardy et al. 2019 (MD-GAN), their network for MNIST: layers of 512, 512 and 784 neurons; from 100 values of noise
    716,560 parameters. Activations are leaky ReLU and tanh. That of Distributed-GAN's code has layers of 256, ReLU and
    64 values of noise: 283,920 parameters. Class and site are inputs beside the noise.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps, which are constant, and of the images.
    width : int
        Neurons of each hidden layer; 512 in the paper.
    image_size : int
        Height and width.
    noise_channels : int
        Length of the noise vector, at least 1.
    slope : float
        That of the leaky ReLU below 0; 0 is ReLU.
    sites : int
        Number of sites; 0 for none.

    Raises
    ------
    ValueError
        If there is no noise to draw from.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        width: int,
        image_size: int,
        noise_channels: int,
        slope: float = 0.2,
        sites: int = 0,
    ) -> None:
        super().__init__()
        self.sites = sites
        if not noise_channels:
            raise ValueError("it draws from noise alone: set model.noise_channels=100")
        self.layers = nn.Sequential(
            nn.Linear(noise_channels + class_features(classes) + sites, width),
            nn.LeakyReLU(slope),
            nn.Linear(width, width),
            nn.LeakyReLU(slope),
            nn.Linear(width, channels * image_size**2),
            nn.Tanh(),
            nn.Unflatten(1, (channels, image_size, image_size)),
        )

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, image_size, image_size) in [-1, 1]."""
        return self.layers(condition_vector(inputs, self.sites))  # type: ignore[no-any-return]


class MlpDiscriminator(nn.Module):
    """Image to one score in three layers.

    Hardy et al. 2019: layers of 512, 512 and 11 neurons, of which 10 tell the class (ACGAN). Deviation: the last layer
    has the score alone, 665,089 parameters for MNIST, and the class is an input beside the image.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps, which are constant, and of the images.
    width : int
        Neurons of each hidden layer; 512 in the paper.
    image_size : int
        Height and width.
    """

    def __init__(self, classes: int, channels: int, width: int, image_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * image_size**2 + class_features(classes), width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
            nn.Unflatten(1, (1, 1, 1)),
        )

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the scores (batch, 1, 1, 1)."""
        return self.layers(torch.cat([images.flatten(1), class_vector(label_maps)], 1))  # type: ignore[no-any-return]


class ByClassDiscriminator(nn.Module):
    """Image to a score for each class in three layers; that of the image's own class is the one that counts.

    This is a projection discriminator (Miyato & Koyama 2018, "cGANs with Projection Discriminator", equation 4: the
    inner product of features with an embedding of the class). With the class as an input beside the image, as
    :class:`MlpDiscriminator` has it, what an image tells and what its class tells meet only where a hidden layer learns
    to combine them; a few clipped and noisy steps do not teach it that.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps, which are constant, and of the images.
    width : int
        Neurons of each hidden layer.
    image_size : int
        Height and width.
    """

    def __init__(self, classes: int, channels: int, width: int, image_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * image_size**2, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, classes),
        )

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the scores (batch, 1, 1, 1)."""
        own = self.layers(images.flatten(1)) * label_maps.mean((2, 3))
        return own.sum(1)[:, None, None, None]  # type: ignore[no-any-return]
