"""Mean and deviation of a site, by numpy over all pixels at once, and a discriminator that sees in their units."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from flower_dgan.data.pairs import Pixels


def levels_of(images: Sequence[Pixels]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (channels, 1, 1) in units of [-1, 1], each rounded to a whole grey level before."""
    pixels = np.concatenate([image.reshape(-1, image.shape[2]) for image in images]).astype(np.float64)
    mean, deviation = pixels.mean(0).round(), pixels.std(0).round().clip(1, 128)
    in_float32 = [torch.tensor(each, dtype=torch.float32)[:, None, None] / 127.5 for each in (mean, deviation)]
    return in_float32[0] - 1, in_float32[1]


class Standardised(nn.Module):
    """D(y, (x - mean) / deviation)."""

    def __init__(self, network: nn.Module, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.network = network
        self._mean, self._deviation = mean, deviation

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        logits: Tensor = self.network(label_maps, (images - self._mean) / self._deviation)
        return logits
