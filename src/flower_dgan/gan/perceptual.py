"""Perceptual distance on the features of VGG-16, as the released AsynDGAN has it."""

from functools import cache

import torch
from torch import Tensor, nn

from flower_dgan.errors import DataError

_LAYERS = (3, 8, 15, 22)


class PerceptualLoss(nn.Module):
    """Mean squared distance of the features relu1_2, relu2_2, relu3_3 and relu4_3, averaged over the four.

    AsynDGAN's released code: images go in as they are, in [-1, 1], without ImageNet's normalisation.

    Parameters
    ----------
    features : nn.Sequential
        The convolutional part of VGG-16.
    """

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features[: _LAYERS[-1] + 1].eval().requires_grad_(False)

    def forward(self, synthetic: Tensor, real: Tensor) -> Tensor:
        """Return the distance (batch,) of images (batch, 1 or 3, height, width)."""
        x, y = (images.expand(-1, 3, -1, -1) for images in (synthetic, real))
        total = torch.zeros(len(x), device=x.device)
        for index, layer in enumerate(self.features):
            x, y = layer(x), layer(y)
            if index in _LAYERS:
                total = total + (x - y).square().flatten(1).mean(1)
        return total / len(_LAYERS)


@cache
def pretrained_perceptual_loss() -> PerceptualLoss:
    """Return the loss with torchvision's ImageNet weights, downloaded once into torch's cache.

    It is built once in a process, from a file of 528 MB of which 30 stay; it never changes, so that all may share it.

    Raises
    ------
    DataError
        If the weights are neither cached nor can be downloaded.
    """
    import torchvision  # type: ignore[import-untyped]  # here: a second that few trainings need wait

    weights = torchvision.models.VGG16_Weights.IMAGENET1K_V1
    try:
        return PerceptualLoss(torchvision.models.vgg16(weights=weights).features)
    except OSError as error:
        raise DataError(
            f"The perceptual loss needs VGG-16's weights, and {weights.url} cannot be downloaded ({error}). Put that "
            f"file into {torch.hub.get_dir()}/checkpoints/ or set algorithm.perceptual_weight=0."
        ) from error
