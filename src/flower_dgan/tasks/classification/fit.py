"""The classifier that measures how useful images with a class are."""

import numpy as np
import torch
from torch import Tensor, nn

from flower_dgan.config import AugmentationName, DownstreamConfig
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import Views
from flower_dgan.device import to_device
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.tasks.classification.network import build_classifier
from flower_dgan.tasks.on_views import ViewTraining


def check_numbers(config: DownstreamConfig) -> None:
    """Raise ConfigError if a training has no step or no image."""
    if config.steps < 1 or config.batch_size < 1:
        raise ConfigError("Set downstream.steps and downstream.batch_size to at least 1.")


def labels_of(pairs: Pairs) -> Tensor:
    """Return the class of each image, int64 (images,), which its label map holds in every pixel.

    Raises
    ------
    DataError
        There is no pair, there are not two classes, or a label map holds several values.
    """
    if not len(pairs):
        raise DataError("There is no image with a class.")
    if pairs.classes < 2:
        raise DataError(f"Classification needs two classes or more, and there is {pairs.classes}.")
    for label_map in pairs.label_maps:
        if (label_map != label_map.flat[0]).any():
            raise DataError("A label map has several classes, and a whole image has one: set data.condition=class.")
    return torch.from_numpy(np.array([label_map.flat[0] for label_map in pairs.label_maps], dtype=np.int64))


def fit_classifier(
    pairs: Pairs, config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
) -> ViewTraining:
    """Begin the training of the small CNN by cross-entropy; its logits are (batch, classes).

    Parameters
    ----------
    pairs : Pairs
        Images, each with its class as a constant label map; at least two classes, of which any may be missing.
    config : DownstreamConfig
        Steps, batch size and learning rate.
    image_size : int
        Height and width in pixels of a view, which has the class of its image.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        How views are drawn.
    seed : int
        Fixes the initial weights, dropout and the views.

    Raises
    ------
    ConfigError
        A number cannot be used.
    DataError
        There is nothing to learn from.
    """
    check_numbers(config)
    labels = labels_of(pairs)

    def loss(model: nn.Module, images: Tensor, views: Views) -> Tensor:
        return nn.functional.cross_entropy(model(images), to_device(labels[views.ids], images.device))

    return ViewTraining(
        pairs,
        config,
        image_size=image_size,
        augmentation=augmentation,
        seed=seed,
        build=lambda: build_classifier(pairs.images[0].shape[2], pairs.classes),
        loss=loss,
    )
