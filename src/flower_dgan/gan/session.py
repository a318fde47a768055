"""What a client has of a training while it answers: its discriminator, its real pairs, and its own random draws."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flower_dgan.config import AugmentationName
from flower_dgan.data.augmentation import apply_to_images, apply_to_label_maps, draw_views, to_one_hot
from flower_dgan.data.foreground import on_foreground
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import Views, sizes_of
from flower_dgan.device import device_of, to_cpu, to_device
from flower_dgan.errors import PolicyError, ProtocolError
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.drawn_patients import DrawnPatients
from flower_dgan.gan.exchange import Batch, Parameters, Question
from flower_dgan.randomness import derive_generator


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
    rounds : int
        Of the whole training.
    secret : int
        What the client's own draws follow from: at a deployed node a number that no server knows, in simulation the
        run's seed.
    returns : int
        How often the client went back to an earlier state for another bundle; its draws are others then.
    patients : DrawnPatients or None
        Who comes to a step, for algorithms that are private by patient; None for others.
    noise : float or None
        Standard deviation of the noise of a step, in units of what a patient adds at most; None where there is none.
    foreground : float
        Share of the windows of real images that are placed on the foreground.
    reads_pixels : bool
        Whether real images may be compared with synthetic ones pixel by pixel.
    """

    name: str
    pairs: Pairs
    half: DiscriminatorHalf
    image_size: int
    batch_size: int
    augmentation: AugmentationName
    rounds: int
    secret: int
    foreground: float = 0.0
    reads_pixels: bool = False
    returns: int = 0
    patients: DrawnPatients | None = None
    noise: float | None = None

    def synthetic(self, question: Question) -> Batch:
        """Return the images of a question with the label maps that they were made from, on the discriminator's device.

        Raises
        ------
        ProtocolError
            If it says of neither its own label maps nor others what the images were made from, or of label maps that
            the client has not.
        """
        images = to_device(question.images, self._device)
        if question.label_maps is not None:
            return Batch(images, to_one_hot(question.label_maps, self.pairs.classes, self._device))
        if question.views is None:
            raise ProtocolError("a question that does not say which label maps its images were made from")
        return Batch(images, self._label_maps(question.views))

    def parts(self, samples: int) -> Iterator[slice]:
        """Return where each batch of so many samples is."""
        return (slice(start, start + self.batch_size) for start in range(0, samples, self.batch_size))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of each of the real images, (images, 2)."""
        return sizes_of(self.pairs.images)

    def draw_real(self, round_number: int, batch: int) -> Batch:
        """Return a batch of real pairs that the client draws itself; which ones the server cannot know.

        It is on the discriminator's device, where its pixels arrive as uint8.

        Parameters
        ----------
        round_number : int
            From 1.
        batch : int
            Which batch of the round, from 0.
        """
        return self._real(self.real_views(round_number, batch))

    def draw_patients(self, share: float) -> Batch:
        """Return an image of each patient who comes to the next step; there may be none.

        Raises
        ------
        ValueError
            If the client does not know its patients.
        """
        if self.patients is None:
            raise ValueError("patients of a client that has none")
        ids = self.patients.draw(share)
        if not len(ids):
            blank = torch.zeros(0, self.pairs.classes, self.image_size, self.image_size, device=self._device)
            return Batch(blank.new_zeros(0, self.pairs.images[0].shape[2], *blank.shape[2:]), blank)
        generator = torch.Generator().manual_seed(int.from_bytes(self.patients.random_bytes(7), "little"))
        views = draw_views(self.sizes[ids], len(ids), self.image_size, self.augmentation, generator)
        return self._real(Views(ids[views.ids], views.windows, views.colours))

    def real_views(self, round_number: int, batch: int) -> Views:
        """Return which views of which pairs :meth:`draw_real` returns, for the owner's count of them."""
        again = ("again", self.returns) if self.returns else ()
        generator = derive_generator(self.secret, "real", round_number, self.name, batch, *again)
        views = draw_views(self.sizes, self.batch_size, self.image_size, self.augmentation, generator)
        return on_foreground(views, self.pairs.label_maps, self.foreground, self.image_size, generator)

    def paired(self, views: Views) -> Tensor:
        """Return these views of the real images, for losses that compare pixel by pixel.

        Raises
        ------
        PolicyError
            If the algorithm does not say that it releases what depends on them.
        """
        if not self.reads_pixels:
            raise PolicyError(
                "undeclared",
                "The algorithm compares images with real ones pixel by pixel, which its releases do not name.",
            )
        return self._real(views).images

    def load(self, weights: Parameters) -> None:
        """Go on with these weights of the discriminator; the optimizer keeps its moments."""
        self.half.network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})

    def weights(self) -> Parameters:
        """Return a copy of all that the discriminator has learned."""
        return {name: to_cpu(value).numpy().copy() for name, value in self.half.network.state_dict().items()}

    def _real(self, views: Views) -> Batch:
        images = apply_to_images(self.pairs.images, views, self.image_size, self._device)
        return Batch(images, self._label_maps(views))

    def _label_maps(self, views: Views) -> Tensor:
        return apply_to_label_maps(self.pairs.label_maps, self.pairs.classes, views, self.image_size, self._device)

    @property
    def _device(self) -> torch.device:
        return device_of(self.half.network)
