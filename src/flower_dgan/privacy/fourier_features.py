"""Random Fourier features of images: fixed, public, and of length 1, so that their mean tells a distribution.

For w drawn from N(0, I / h^2), phi(x) = (cos w_1.x, ..., cos w_m.x, sin w_1.x, ..., sin w_m.x) / sqrt(m) has length 1,
and phi(x).phi(y) approaches exp(-|x - y|^2 / (2 h^2)) as m grows (Rahimi & Recht 2007, "Random features for large-scale
kernel machines", section 3). Two distributions whose means of phi agree are near in the distance of that kernel (MMD).
"""

from __future__ import annotations

import math

import numpy as np

from flower_dgan.lazily import torch
from flower_dgan.privacy.noise import normals, seeded_bytes

MOST_ENTRIES = 2**24
"""Of the matrix w, which server and nodes keep in memory: 64 MiB, and ten times as much while it is drawn."""

_PUBLIC = 0x666F7572696572  # nobody chooses it, or a server could ask for other features of the same images again


class FourierFeatures:
    """phi, the same at server and nodes.

    Parameters
    ----------
    pixels : int
        Values of an image: channels times height times width.
    frequencies : int
        m.
    bandwidth : float
        Of the kernel a pixel, in units of the range from black to white: h = ``bandwidth`` sqrt(pixels).
    """

    def __init__(self, pixels: int, frequencies: int, bandwidth: float) -> None:
        drawn = normals(pixels * frequencies, seeded_bytes(_PUBLIC)).reshape(pixels, frequencies)
        self._directions = torch.from_numpy((drawn / (bandwidth * math.sqrt(pixels))).astype(np.float32))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return phi of images in [-1, 1], (n, channels, height, width): (n, 2 m), on their device."""
        self._directions = self._directions.to(images.device)
        angles = (images.flatten(1).float() / 2 + 0.5) @ self._directions
        return torch.cat([angles.cos(), angles.sin()], 1) / math.sqrt(angles.shape[1])
