"""What the two halves of an algorithm make, keep and send each other: synthetic batches and feedback.

A synthetic batch is a :class:`Proposal` at the server, travels in a :class:`Question`, is judged as a :class:`Batch`,
and comes back as the :class:`Feedback` of an :class:`Answer`. All are on the CPU, but for a :class:`Batch`, which is
where its discriminator is, and the feedback on it until the bundle's end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flower_dgan.data.channels import Channels
from flower_dgan.data.views import Views
from flower_dgan.device import to_cpu, to_device
from flower_dgan.gan.releases import Releases

_CPU = torch.device("cpu")

Parameters = Mapping[str, NDArray[np.float32]]
"""Weights of a network, by name."""


@dataclass(frozen=True)
class GeneratorInput:
    """What the generator draws from.

    Attributes
    ----------
    label_maps : Tensor, float, (batch, classes, height, width)
        One-hot label maps.
    noise : Tensor, float, (batch, noise_channels)
        Standard normal; the style of the whole image.
    texture : Tensor, float, (batch, 1, height, width)
        Standard normal, one value a pixel.
    sites : Tensor, int64, (batch,)
        Index of the site to draw for; ignored by a generator without site condition.
    """

    label_maps: Tensor
    noise: Tensor
    texture: Tensor
    sites: Tensor

    def __post_init__(self) -> None:
        """Check that all agree on the batch."""
        batches = [len(part) for part in (self.label_maps, self.noise, self.texture, self.sites)]
        if len(set(batches)) > 1:
            raise ValueError(f"batches of {batches} samples")

    def __getitem__(self, part: slice | Tensor) -> "GeneratorInput":
        """Return some of the samples: a slice, or those with the indices in an int64 tensor."""
        return GeneratorInput(self.label_maps[part], self.noise[part], self.texture[part], self.sites[part])

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.label_maps)

    def to(self, device: torch.device) -> "GeneratorInput":
        """Return it on a device."""
        parts = (self.label_maps, self.noise, self.texture, self.sites)
        return GeneratorInput(*(to_device(part, device) for part in parts))


def join_inputs(inputs: Sequence[GeneratorInput]) -> GeneratorInput:
    """Join what several batches are drawn from, in their order."""
    return GeneratorInput(
        torch.cat([each.label_maps for each in inputs]),
        torch.cat([each.noise for each in inputs]),
        torch.cat([each.texture for each in inputs]),
        torch.cat([each.sites for each in inputs]),
    )


@dataclass(frozen=True)
class Proposal:
    """What a client was sent, as the server keeps it until the feedback is there.

    Attributes
    ----------
    noise, texture, sites : Tensor
        What the images were drawn from, as in :class:`GeneratorInput`.
    one_hot : Tensor, uint8, (samples, classes, height, width)
        Their label maps; a server with many clients keeps them in a quarter of the bytes.
    images : Tensor, float, (samples, channels, height, width)
        The images x~; empty where nobody looks at them again.
    drawn_at : int
        Steps that the generator had done.
    """

    noise: Tensor
    texture: Tensor
    sites: Tensor
    one_hot: Tensor
    images: Tensor
    drawn_at: int

    @classmethod
    def of(cls, inputs: GeneratorInput, images: Tensor, drawn_at: int) -> "Proposal":
        """Return it for what the images were drawn from."""
        one_hot = inputs.label_maps.to(torch.uint8)
        return cls(inputs.noise, inputs.texture, inputs.sites, one_hot, images, drawn_at)

    def inputs(self, part: slice = slice(None), device: torch.device = _CPU) -> GeneratorInput:
        """Return what some of the images were drawn from, on a device; all, and on the CPU, if nothing is said."""
        label_maps = to_device(self.one_hot[part], device).to(self.texture.dtype)
        drawn = (to_device(each[part], device) for each in (self.noise, self.texture, self.sites))
        return GeneratorInput(label_maps, *drawn)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.one_hot)


@dataclass(frozen=True)
class Batch:
    """Images with their label maps: synthetic ones with those that they were made from, or real ones with their own.

    Attributes
    ----------
    images : Tensor, float, (batch, channels, height, width)
        In [-1, 1].
    label_maps : Tensor, float, (batch, classes, height, width)
        One-hot.
    """

    images: Tensor
    label_maps: Tensor

    def __post_init__(self) -> None:
        """Check that images and label maps fit each other."""
        images, label_maps = self.images.shape, self.label_maps.shape
        if len(images) != 4 or len(label_maps) != 4 or images[0] != label_maps[0] or images[2:] != label_maps[2:]:
            raise ValueError(f"images {tuple(images)} do not fit label maps {tuple(label_maps)}")

    def __getitem__(self, part: slice) -> "Batch":
        """Return some of the samples."""
        return Batch(self.images[part], self.label_maps[part])

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.images)


@dataclass(frozen=True)
class Feedback:
    """A client's answer to one synthetic batch.

    Attributes
    ----------
    losses : Tensor, float32, (batch,)
        Generator loss of each sample; for an algorithm that merges scores the discriminator's score instead.
    gradients : Tensor, float32, (batch, channels, height, width)
        Gradient of each sample's own loss, or score, with respect to that sample, not divided by the batch size.
    channels : tuple of int or None
        Which channels of the samples the gradients are about, where the client lacks the others: their gradient is
        zero. None for all.
    """

    losses: Tensor
    gradients: Tensor
    channels: Channels = None

    def __post_init__(self) -> None:
        """Check that losses and gradients agree on the batch."""
        if self.losses.shape != self.gradients.shape[:1] or self.gradients.ndim != 4:
            raise ValueError(f"losses {tuple(self.losses.shape)} for gradients {tuple(self.gradients.shape)}")


def concatenate(feedback: list[Feedback]) -> Feedback:
    """Join the feedback of the batches of one bundle, in their order, on the CPU."""
    return Feedback(
        to_cpu(torch.cat([each.losses for each in feedback])), to_cpu(torch.cat([each.gradients for each in feedback]))
    )


def no_feedback(synthetic: Batch) -> Feedback:
    """Return the empty feedback of an algorithm whose clients say something else about these images."""
    return Feedback(torch.zeros(0), torch.zeros(0, *synthetic.images.shape[1:]))


@dataclass(frozen=True)
class Question:
    """What one client is asked in a round.

    Attributes
    ----------
    images : Tensor, float, (samples, channels, height, width)
        Synthetic images in [-1, 1], in the channels that the client holds, batch after batch; as many bundles of them
        as the algorithm sends.
    views : Views or None
        Windows of the client's own label maps that the images were made from; None where label maps travel.
    label_maps : uint8 array (samples, height, width) or None
        Class ids that the images were made from; None where they are the client's own.
    weights : Parameters or None
        A discriminator that the client goes on with in place of its own.
    return_weights : bool
        Whether the answer is to bring the client's discriminator.
    """

    images: Tensor
    views: Views | None = None
    label_maps: NDArray[np.uint8] | None = None
    weights: Parameters | None = None
    return_weights: bool = False


@dataclass(frozen=True)
class Answer:
    """What one client says to a question.

    Attributes
    ----------
    feedback : Feedback
        On each synthetic image that was to be judged; empty where there is none.
    discriminator_loss : float
        Mean over the bundle's batches.
    weights : Parameters or None
        The client's discriminator, where it was asked for.
    change : Tensor, float32, (entries,) or None
        By how much the client would change each weight of a discriminator that it was sent; 0 where it does not say.
    """

    feedback: Feedback
    discriminator_loss: float
    weights: Parameters | None = None
    change: Tensor | None = None

    def check(self, releases: Releases) -> None:
        """Raise PolicyError if there is more in it than an algorithm says that it releases."""
        releases.check(
            feedback=len(self.feedback.losses) > 0,
            weights=self.weights is not None,
            changes=self.change is not None,
        )
