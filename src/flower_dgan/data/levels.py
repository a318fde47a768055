"""Levels of a site: mean and standard deviation of its images, a channel.

Sites differ in them by much more than their images differ in what is drawn: a dim fluorescence image lives within a
tenth of the range, a stained one in all of it. With ``model.levels=site`` networks work in units of them: the generator
begins at each site's own mean, a step counts the same at all sites, and a site whose images are grey gets grey ones in
a federation of colour. They leave a node once, when it joins, as whole grey levels; the owner's policy decides whether
they may.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flower_dgan.data.pairs import Pixels

_GREY = 127.5  # grey levels of one unit of [-1, 1]


@dataclass(frozen=True)
class Levels:
    """Of one site, in grey levels.

    Attributes
    ----------
    mean : tuple of int
        Of each channel, in 0 .. 255.
    deviation : tuple of int
        Standard deviation of each channel, in 1 .. 128.
    grey : bool
        Whether the channels of each pixel of each image are equal: grey images kept in colour.
    """

    mean: tuple[int, ...]
    deviation: tuple[int, ...]
    grey: bool = False

    def __post_init__(self) -> None:
        """Check that there is one of each a channel, in its range."""
        whole = all(type(each) is int for each in (*self.mean, *self.deviation))
        if not whole or not self.mean or len(self.mean) != len(self.deviation):
            raise ValueError(f"levels {self.mean} and {self.deviation}: whole numbers, one of each a channel")
        if not all(0 <= each <= 255 for each in self.mean) or not all(1 <= each <= 128 for each in self.deviation):
            raise ValueError(f"levels {self.mean} (0 .. 255) and {self.deviation} (1 .. 128)")

    @property
    def means(self) -> Tensor:
        """The means (channels,), in units of [-1, 1]."""
        return torch.tensor(self.mean) / _GREY - 1

    @property
    def deviations(self) -> Tensor:
        """The standard deviations (channels,), in units of [-1, 1]."""
        return torch.tensor(self.deviation) / _GREY


def levels_of(images: Sequence[Pixels]) -> Levels:
    """Return the levels of images, uint8 arrays (height, width, channels), rounded to whole grey levels.

    Every pixel of every image counts the same. A deviation of less than 1 is given as 1: images of a single colour have
    no contrast to count in.
    """
    count = sum(image.shape[0] * image.shape[1] for image in images)
    sums = sum(image.sum((0, 1), dtype=np.int64) for image in images)
    squares = sum(np.square(image, dtype=np.int64).sum((0, 1)) for image in images)
    mean = sums / count
    deviation = np.sqrt(np.maximum(0.0, squares / count - mean**2))
    return Levels(
        tuple(round(each) for each in mean.tolist()),
        tuple(min(128, max(1, round(each))) for each in deviation.tolist()),
        grey=images[0].shape[2] > 1 and all(bool((image == image[..., :1]).all()) for image in images),
    )
