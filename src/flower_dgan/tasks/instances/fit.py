"""The training of a model of instances, on pairs of image and class map alone: no object is told apart in them."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage  # type: ignore[import-untyped]
from skimage.morphology import skeletonize
from torch import Tensor, nn

from flower_dgan.config import AugmentationName, DownstreamConfig
from flower_dgan.data import class_maps
from flower_dgan.data.augmentation import apply_to_label_maps
from flower_dgan.data.class_maps import CLASSES
from flower_dgan.data.object_masks import of_numbers
from flower_dgan.data.pairs import Pairs, Pixels
from flower_dgan.data.views import Views
from flower_dgan.errors import DataError
from flower_dgan.tasks.instances.columns import check_numbers
from flower_dgan.tasks.instances.dense import CROSSING, FOREGROUND, LINE, DenseModel
from flower_dgan.tasks.instances.splitting import split_mask
from flower_dgan.tasks.instances.tracing import measure
from flower_dgan.tasks.on_views import ViewTraining

_WEIGHTS = (1.0, 0.5, 1.0)  # of the maps
_WARM_UP = 0.2  # of the steps
_POSITIVE = 3.0  # the weight of a pixel that is one of them, of which there are few


def fit_dense(
    pairs: Pairs, config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
) -> ViewTraining:
    """Begin the training of a :class:`~flower_dgan.tasks.instances.dense.DenseModel`.

    The loss of each map is cross-entropy plus the Dice loss. Of centre lines, what lies in a crossing does not count:
    they are cut there.

    Parameters
    ----------
    pairs : Pairs
        What to learn from, at least one pair: with class maps, see :mod:`flower_dgan.data.class_maps`, or with masks of
        two classes, see :func:`as_class_maps`, which have no crossings.
    config : DownstreamConfig
        Steps, batch size, learning rate, and whether there is a head for centre lines.
    image_size : int
        Height and width in pixels of a view.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        How views are drawn.
    seed : int
        Fixes the initial weights and the views.

    Raises
    ------
    ConfigError, DataError
        A number cannot be used, or there is nothing to learn from.
    """
    check_numbers(config, image_size)
    if pairs.classes not in (2, len(CLASSES)):
        raise DataError(f"Instances are learned from label maps of 2 or {len(CLASSES)} classes, not {pairs.classes}.")
    if not len(pairs):
        raise DataError("There is no pair to train a model of instances on.")
    learned = Pairs(pairs.images, as_class_maps(pairs.label_maps, pairs.classes), len(CLASSES))
    scale = measure(learned.label_maps)
    if scale is None:
        raise DataError(
            "The label maps to learn instances from have neither a centre line nor the middle of a round object: give "
            "class maps (docs/instances.md), or masks of background and objects."
        )

    def build() -> DenseModel:
        model = DenseModel(pairs.images[0].shape[2], skeleton=config.skeleton, used=config.uses_skeleton)
        model.measures.copy_(torch.tensor([scale.length, scale.half_width]))
        return model

    def loss(model: nn.Module, images: Tensor, views: Views) -> Tensor:
        truth = apply_to_label_maps(learned.label_maps, learned.classes, views, image_size, images.device)
        return loss_of(model(images), truth)

    return ViewTraining(
        learned,
        config,
        image_size=image_size,
        augmentation=augmentation,
        seed=seed,
        build=build,
        loss=loss,
        warm_up=_WARM_UP,
    )


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of maps.

    Parameters
    ----------
    logits : float32 Tensor (batch, 2 or 3, height, width)
        Of foreground, crossings and, where there is the head, centre lines.
    truth : float32 Tensor (batch, 4, height, width)
        Class maps, one-hot.
    """
    everywhere = torch.ones_like(truth[:, 0])
    maps = {
        FOREGROUND: (1 - truth[:, class_maps.GROUND], everywhere),
        CROSSING: (truth[:, class_maps.CROSSING], everywhere),
        LINE: (truth[:, class_maps.LINE], 1 - truth[:, class_maps.CROSSING]),
    }
    positive, total = logits.new_tensor(_POSITIVE), logits.new_zeros(())
    for index in range(logits.shape[1]):
        found, (true, counts) = logits[:, index], maps[index]
        probability = torch.sigmoid(found) * counts
        dice = 1 - (2 * (probability * true).sum() + 1) / (probability.sum() + true.sum() + 1)
        entropy = F.binary_cross_entropy_with_logits(found, true, counts, pos_weight=positive)
        total = total + _WEIGHTS[index] * (entropy + dice)
    return total


def as_class_maps(label_maps: Sequence[Pixels], classes: int) -> tuple[Pixels, ...]:
    """Return label maps of four classes as they are, and make class maps of masks, of two.

    Where most connected components of masks are long, the thinned mask stands for centre lines; where they are round,
    masks are split where they are narrow, and each part has a middle.
    """
    if classes == len(CLASSES):
        return tuple(label_maps)
    parts = [of_numbers(ndimage.label(each > 0, np.ones((3, 3)))[0]) for each in label_maps]
    if class_maps.shape_of(parts) == "round":
        return tuple(class_maps.class_map(split_mask(each > 0), "round") for each in label_maps)
    return tuple(map(_with_line, label_maps))


def _with_line(label_map: Pixels) -> Pixels:
    body = label_map > 0
    thin = skeletonize(body)  # type: ignore[no-untyped-call]
    line = ndimage.binary_dilation(thin, np.ones((2, 2), bool)) & body
    return np.where(line, class_maps.LINE, label_map).astype(np.uint8)
