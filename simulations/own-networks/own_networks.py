"""A data set and two networks of one's own: copy, rename and change."""

import numpy as np
import torch
from torch import nn

from flower_dgan.data import Entry, Pairs


class Rectangles:
    """Bright rectangles on noise: small ones are the data of one site, large ones of the other."""

    classes, image_classes = 2, 0

    def __init__(self, config):
        self.size = config.image_size
        entries = [Entry(str(n), ("small", "large")[n % 2], str(n), -1, self.size, self.size) for n in range(200)]
        self.train, self.test = entries[:160], entries[160:]

    def load(self, entries):
        """Draw images and masks; the name of an entry is its seed."""
        masks, images = [], []
        for entry in entries:
            random = np.random.default_rng(int(entry.name))
            side = self.size // (4 if entry.site == "small" else 2)
            top, left = random.integers(0, self.size - side, 2)
            mask = np.zeros((self.size, self.size), np.uint8)
            mask[top : top + side, left : left + side] = 1
            masks.append(mask)
            images.append((150 * mask + random.integers(0, 100, mask.shape)).astype(np.uint8)[:, :, None])
        return Pairs(tuple(images), tuple(masks), self.classes)


class Painter(nn.Sequential):
    """Two convolutions over label map and noise; it draws for all sites alike."""

    def __init__(self, classes, channels, width, image_size, noise_channels, sites):
        super().__init__(nn.Conv2d(classes + 1, width, 5, 1, 2), nn.ReLU(), nn.Conv2d(width, channels, 1), nn.Tanh())

    def forward(self, inputs):
        """Return images in [-1, 1]."""
        return super().forward(torch.cat([inputs.label_maps, inputs.texture], 1))


class Critic(nn.Sequential):
    """A score for each region of 4 x 4 pixels."""

    def __init__(self, classes, channels, width, image_size):
        super().__init__(nn.Conv2d(classes + channels, width, 4, 4), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 1))

    def forward(self, label_maps, images):
        """Return logits (batch, 1, image_size / 4, image_size / 4)."""
        return super().forward(torch.cat([label_maps, images], 1))
