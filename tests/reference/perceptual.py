"""The perceptual distance from VGG-16's drawing: layers by their names in the paper, not by their indices."""

from functools import cache
from types import SimpleNamespace

import torch
import torchvision
from torch import Tensor, nn

RELUS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


def named_layers(features: nn.Sequential) -> dict[str, int]:
    """Return the index of each layer by its name: ``relu3_2`` is the second of the third block; poolings end blocks."""
    found, block, convolution = {}, 1, 0
    for index, layer in enumerate(features):
        if isinstance(layer, nn.Conv2d):
            convolution += 1
            found[f"conv{block}_{convolution}"] = index
        elif isinstance(layer, nn.ReLU):
            found[f"relu{block}_{convolution}"] = index
        elif isinstance(layer, nn.MaxPool2d):
            found[f"pool{block}"] = index
            block, convolution = block + 1, 0
    return found


def activations(features: nn.Sequential, images: Tensor, last: str = RELUS[-1]) -> dict[str, Tensor]:
    """Return what each layer, by name, up to the last makes of images (batch, 1 or 3, height, width), as they are."""
    x = images if images.shape[1] == 3 else images.repeat(1, 3, 1, 1)
    found = {}
    for name, index in named_layers(features).items():
        layer = features[index]
        x = torch.relu(x) if isinstance(layer, nn.ReLU) else layer(x)  # torchvision's writes over its input
        found[name] = x
        if name == last:
            break
    return found


def perceptual_distance(features: nn.Sequential, synthetic: Tensor, real: Tensor) -> Tensor:
    """Return 1/4 sum_l mean |f_l(x) - f_l(y)|^2 over the four layers, (batch,)."""
    of_synthetic, of_real = activations(features, synthetic), activations(features, real)
    total = 0.0
    for name in RELUS:
        total = total + ((of_synthetic[name] - of_real[name]) ** 2).mean((1, 2, 3))
    return total / len(RELUS)


def layout() -> nn.Sequential:
    """Return the convolutional part of torchvision's VGG-16, without any numbers in it."""
    with torch.device("meta"):
        return torchvision.models.vgg16(weights=None).features


@cache
def random_features() -> nn.Sequential:
    """Return it with random weights, always the same, that keep the size of what passes through them."""
    features = layout().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.normal_(layer.bias, std=0.1, generator=generator)
    return features.eval().requires_grad_(False)


def stand_in(features: nn.Sequential) -> SimpleNamespace:
    """Return what stands for a whole VGG-16 of which the convolutional part alone is used."""
    return SimpleNamespace(features=features)
