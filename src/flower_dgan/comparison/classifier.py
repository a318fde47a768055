"""The classifier that looks at generated images of a data set with class labels: a small CNN, trained on real ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from flower_dgan.data.pairs import Pixels
from flower_dgan.device import chosen_device, device_of, to_cpu, to_device
from flower_dgan.errors import DataError
from flower_dgan.metrics.shared.finite import require_finite
from flower_dgan.placing import place
from flower_dgan.tasks.classification.network import FEATURES, build_body

STEPS = 400
_BATCH = 64
_LEARNING_RATE = 2e-3
_LOOKING_BATCH = 256


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes
    ----------
    body : nn.Module
        Float32 (batch, channels, height, width) in [-1, 1] to the features (batch, ``FEATURES``) that the classes are
        read from.
    head : nn.Module
        Features to logits (batch, classes).
    classes : int
        Number of classes.
    """

    body: nn.Module
    head: nn.Module
    classes: int

    @torch.no_grad()
    def features(self, images: Sequence[Pixels]) -> Tensor:
        """Return the float32 features (images, ``FEATURES``) of uint8 images (height, width, channels) of one size.

        Raises DataError if one is not finite.
        """
        found = torch.cat([to_cpu(self.body(batch)) for batch in _batches(images, device_of(self.body))])
        require_finite(found, "The classifier's features")
        return found

    @torch.no_grad()
    def predict(self, images: Sequence[Pixels]) -> Tensor:
        """Return the class of each image, int64 (images,); raises DataError if a logit is not finite."""
        logits = to_cpu(self.head(to_device(self.features(images), device_of(self.head))))
        require_finite(logits, "The classifier's logits")
        predicted: Tensor = logits.argmax(1)
        return predicted


def train_classifier(images: Sequence[Pixels], labels: Sequence[int], classes: int, seed: int) -> Classifier:
    """Train the classifier by cross-entropy with Adam: ``STEPS`` steps of 64 images, drawn with replacement.

    The same arguments give the same classifier on the same machine, and the caller's global RNG is left as it was.

    Parameters
    ----------
    images : sequence of uint8 arrays (height, width, channels)
        The real training split, all of one size.
    labels : sequence of int
        Class of each image in 0 .. ``classes`` - 1, such as :attr:`flower_dgan.data.pairs.Entry.label`.
    classes : int
        Number of classes, at least 2.
    seed : int
        Fixes the initial weights and the batches.

    Raises
    ------
    DataError
        There is no image, an image has another size, or a label is missing or unknown.
    """
    truth = label_tensor(images, labels, classes)
    device = chosen_device()
    pixels = _to_network(torch.from_numpy(_stack(images)), torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        body, head = place(build_body(pixels.shape[1]), device), place(nn.Linear(FEATURES, classes), device)
        optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], _LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for _ in range(STEPS):
            drawn = torch.randint(len(pixels), (_BATCH,))
            logits = head(body(to_device(pixels[drawn], device)))
            loss = nn.functional.cross_entropy(logits, to_device(truth[drawn], device))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return Classifier(body.eval(), head.eval(), classes)


def label_tensor(images: Sequence[Pixels], labels: Sequence[int], classes: int) -> Tensor:
    """Return the labels of images, int64 (images,); raises DataError where they do not fit."""
    if len(images) != len(labels):
        raise DataError(f"There are {len(images)} images but {len(labels)} labels.")
    if unknown := sorted({label for label in labels if not 0 <= label < classes}):
        raise DataError(
            f"Labels must be in 0 .. {classes - 1}, and there is {unknown[0]} (-1 means that none is known)."
        )
    return torch.tensor(labels, dtype=torch.long)


def _batches(images: Sequence[Pixels], device: torch.device) -> Iterator[Tensor]:
    pixels = torch.from_numpy(_stack(images))
    for start in range(0, len(pixels), _LOOKING_BATCH):
        yield _to_network(pixels[start : start + _LOOKING_BATCH], device)


def _stack(images: Sequence[Pixels]) -> Pixels:
    if not images:
        raise DataError("There is no image to classify.")
    if len(sizes := sorted({image.shape for image in images})) > 1:
        raise DataError(f"The images must have one size, and there are {sizes[0]} and {sizes[1]}.")
    return np.stack(images)


def _to_network(pixels: Tensor, device: torch.device) -> Tensor:
    return to_device(pixels, device).permute(0, 3, 1, 2) / 127.5 - 1
