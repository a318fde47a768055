"""The segmentation model that measures how useful pairs of image and mask are."""

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from flower_dgan.config import AugmentationName, DownstreamConfig
from flower_dgan.data.augmentation import apply_to_label_maps
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import Views
from flower_dgan.errors import DataError
from flower_dgan.tasks.on_views import ViewTraining
from flower_dgan.tasks.segmentation.deeplab import build_deeplab, check_segmentation


def fit_segmenter(
    pairs: Pairs, config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
) -> ViewTraining:
    """Begin the training of DeepLabV3+, whose logits are (batch, classes, image_size, image_size).

    The loss is cross-entropy plus the multiclass Dice loss, both over all classes.

    Parameters
    ----------
    pairs : Pairs
        What to learn from; at least one pair and two classes.
    config : DownstreamConfig
        Encoder, steps, batch size and learning rate.
    image_size : int
        Height and width in pixels of a view; a multiple of 16.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        How views are drawn.
    seed : int
        Fixes the initial weights, dropout and the views.

    Raises
    ------
    ConfigError
        The encoder, its weights or a number cannot be used.
    DataError
        There is nothing to learn from, or the pretrained weights cannot be had.
    """
    if not len(pairs):
        raise DataError("There is no pair to train a segmentation model on.")
    if pairs.classes < 2:
        raise DataError(f"Segmentation needs the background and at least one more class, not {pairs.classes}.")
    check_segmentation(config, image_size)
    dice_loss = smp.losses.DiceLoss("multiclass")

    def loss(model: nn.Module, images: Tensor, views: Views) -> Tensor:
        logits = model(images)
        truth = class_ids(pairs, views, image_size, logits.device)
        both: Tensor = nn.functional.cross_entropy(logits, truth) + dice_loss(logits, truth)
        return both

    return ViewTraining(
        pairs,
        config,
        image_size=image_size,
        augmentation=augmentation,
        seed=seed,
        build=lambda: build_deeplab(config, channels=pairs.images[0].shape[2], classes=pairs.classes),
        loss=loss,
    )


def train_segmenter(
    pairs: Pairs, config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
) -> nn.Module:
    """Run the training of :func:`fit_segmenter` from beginning to end, and return its model in evaluation mode."""
    training = fit_segmenter(pairs, config, image_size=image_size, augmentation=augmentation, seed=seed)
    training.run(config.steps)
    return training.model


def class_ids(pairs: Pairs, views: Views, image_size: int, device: torch.device | None = None) -> Tensor:
    """Return the label maps of views as int64 (batch, image_size, image_size), on the CPU if no device is named."""
    return apply_to_label_maps(pairs.label_maps, pairs.classes, views, image_size, device).argmax(1)
