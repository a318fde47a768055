"""What a client has of a training while it answers: its discriminator, its real pairs, and its own random draws."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from flower_dgan.config import AugmentationName
from flower_dgan.data.augmentation import apply_to_images, apply_to_label_maps, draw_views
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import Views, sizes_of
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch
from flower_dgan.gan.randomness import derive_generator


@dataclass(frozen=True)
class Session:
    """One client in one training.

    Attributes
    ----------
    name : str
        The client's name.
    pairs : Pairs
        Its real images, in the channels that it holds, and their label maps.
    half : DiscriminatorHalf
        Its discriminator with optimizer and losses; changed in place while it answers.
    image_size : int
        Height and width of a view in pixels.
    batch_size : int
        Samples of one batch.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        What views of real pairs do besides choosing a window.
    secret : int
        What the draws of real pairs follow from: at a deployed node a number that no server knows, in simulation the
        run's seed.
    """

    name: str
    pairs: Pairs
    half: DiscriminatorHalf
    image_size: int
    batch_size: int
    augmentation: AugmentationName
    secret: int

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of each of the real images, (images, 2)."""
        return sizes_of(self.pairs.images)

    def draw_real(self, round_number: int, batch: int) -> Batch:
        """Return a batch of real pairs that the client draws itself; which ones the server cannot know.

        Parameters
        ----------
        round_number : int
            From 1.
        batch : int
            Which batch of the round, from 0.
        """
        return self.paired(self.real_views(round_number, batch))

    def real_views(self, round_number: int, batch: int) -> Views:
        """Return which views of which pairs :meth:`draw_real` returns, for the owner's count of them."""
        generator = derive_generator(self.secret, "real", round_number, self.name, batch)
        return draw_views(self.sizes, self.batch_size, self.image_size, self.augmentation, generator)

    def paired(self, views: Views) -> Batch:
        """Return these views of the real pairs: for losses that compare with the real image pixel by pixel."""
        return Batch(apply_to_images(self.pairs.images, views, self.image_size), self.label_maps(views))

    def label_maps(self, views: Views) -> torch.Tensor:
        """Return these views of the label maps, one-hot (batch, classes, height, width)."""
        return apply_to_label_maps(self.pairs.label_maps, self.pairs.classes, views, self.image_size)
