"""The scores of a segmentation model on real pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import SupportsFloat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.classification import MulticlassF1Score, MulticlassJaccardIndex

from flower_dgan.config import MetricName
from flower_dgan.data.augmentation import apply_to_images, apply_to_label_maps, grid_views
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import Views, sizes_of
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.evaluation.objects import ObjectIds, ObjectTally, number_objects, tally_objects
from flower_dgan.evaluation.surface import hausdorff95

_OF_OBJECTS = frozenset({"object-dice", "aji"})
_SCORING_BATCH = 32


def compares_objects(metrics: Sequence[MetricName]) -> bool:
    """Return whether one of the metrics is about objects, whose true ones a source may have numbered."""
    return not _OF_OBJECTS.isdisjoint(metrics)


def check_metrics(metrics: Sequence[MetricName], pairs: Pairs) -> None:
    """Raise ConfigError or DataError if the metrics cannot be had of these pairs; for before any work.

    Metrics of objects want two classes, and all want a foreground pixel in the true label maps, and those of objects
    a numbered object: otherwise there is nothing to find.
    """
    if compares_objects(metrics) and pairs.classes != 2:
        raise ConfigError(
            "object-dice and aji compare objects of one kind, and these label maps have "
            f"{pairs.classes - 1} classes beside the background: leave them out of downstream.metrics."
        )
    if not any(label_map.any() for label_map in pairs.label_maps):
        raise DataError("The label maps to score against have no foreground pixel; pick other test data.")
    if compares_objects(metrics) and pairs.instances and not any(ids.any() for ids in pairs.instances):
        raise DataError("The instances to score against hold no object; pick other test data.")


@torch.no_grad()
def segmentation_score(
    model: nn.Module, pairs: Pairs, *, image_size: int, metrics: Sequence[MetricName]
) -> dict[str, float]:
    """Score a model on the windows that tile every image from its top left; a margin that is left is not scored.

    Dice and IoU of a class come from the counts over all pixels of all windows together, not from a mean over images;
    Dice is then the F1 score of the pixels. HD95 of a class is the mean over the windows. All three are averaged over
    the foreground classes (1 .. classes - 1), each with the same weight. A class found in neither the true nor the
    predicted label maps is left out of the average; one that is predicted but never there, or there but never
    predicted, counts as 0 in Dice and IoU.

    Object Dice and AJI come from the objects of all windows together, where a window's edge cuts objects. The true
    ones are ``pairs.instances`` or, without, connected components, as the predicted ones are.

    Parameters
    ----------
    model : nn.Module
        Float32 (batch, channels, image_size, image_size) in [-1, 1] to logits (batch, classes, image_size, image_size);
        left in evaluation mode.
    pairs : Pairs
        The images to predict and their true label maps.
    image_size : int
        Height and width in pixels of a window.
    metrics : sequence of {"dice", "iou", "hd95", "object-dice", "aji"}
        What to measure.

    Returns
    -------
    dict of str to float
        By name, in the order of ``metrics``. HD95 is in pixels, see
        :func:`~flower_dgan.evaluation.surface.hausdorff95`; the others are in [0, 1].

    Raises
    ------
    ConfigError, DataError
        As :func:`check_metrics`, which sees the whole label maps; here the windows must have something to find.
    """
    check_metrics(metrics, pairs)
    model.eval()
    dice = MulticlassF1Score(pairs.classes, average=None)
    iou = MulticlassJaccardIndex(pairs.classes, average=None)
    found = torch.zeros(2, pairs.classes, dtype=torch.long)
    distances = np.zeros(pairs.classes - 1)
    objects = ObjectTally()
    views = grid_views(sizes_of(pairs.label_maps), image_size)
    for start in range(0, len(views.ids), _SCORING_BATCH):
        window = slice(start, start + _SCORING_BATCH)
        batch = views[window]
        truth = class_ids(pairs, batch, image_size)
        predicted = model(apply_to_images(pairs.images, batch, image_size)).argmax(1)
        dice.update(predicted, truth)
        iou.update(predicted, truth)
        found += torch.stack([ids.flatten().bincount(minlength=pairs.classes) for ids in (truth, predicted)])
        if "hd95" in metrics:
            distances += _outline_distances(truth.numpy(), predicted.numpy(), pairs.classes)
        if compares_objects(metrics):
            numbered = _true_objects(pairs, batch, truth.numpy())
            for true_ids, mask in zip(numbered, predicted.numpy() > 0, strict=True):
                objects += tally_objects(true_ids, number_objects(mask))
    if not found[0, 1:].any() or (compares_objects(metrics) and not objects.true_area):
        raise DataError("The windows of the test pairs have nothing to find; pick other test data.")
    present = (found.sum(0) > 0)[1:]
    scores: Mapping[MetricName, Callable[[], SupportsFloat]] = {
        "dice": lambda: dice.compute()[1:][present].mean(),
        "iou": lambda: iou.compute()[1:][present].mean(),
        "hd95": lambda: distances[present.numpy()].mean() / len(views.ids),
        "object-dice": lambda: objects.object_dice,
        "aji": lambda: objects.aji,
    }
    return {name: float(scores[name]()) for name in metrics}


def class_ids(pairs: Pairs, views: Views, image_size: int) -> Tensor:
    """Return the label maps of views as int64 (batch, image_size, image_size)."""
    return apply_to_label_maps(pairs.label_maps, pairs.classes, views, image_size).argmax(1)


def _outline_distances(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return the HD95 of each foreground class, summed over windows."""
    return np.array(
        [
            sum(hausdorff95(true == k, guess == k) for true, guess in zip(truth, predicted, strict=True))
            for k in range(1, classes)
        ],
        dtype=float,
    )


def _true_objects(pairs: Pairs, views: Views, truth: NDArray[np.int64]) -> list[ObjectIds]:
    if pairs.instances is None:
        return [number_objects(mask) for mask in truth > 0]
    side = truth.shape[1]
    places = zip(views.ids.tolist(), views.windows.tolist(), strict=True)
    return [pairs.instances[index][top : top + side, left : left + side] for index, (top, left, _, _) in places]
