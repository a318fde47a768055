"""Training and looking with Mask R-CNN: whole objects in views of images, and objects of what it finds."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Resampling
from scipy import ndimage  # type: ignore[import-untyped]
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN  # type: ignore[import-untyped]

from flower_dgan.config import AugmentationName, DownstreamConfig
from flower_dgan.data.centre_lines import POINTS, evenly, lines_of
from flower_dgan.data.object_masks import Line, ObjectMasks, region_of
from flower_dgan.data.pairs import Pairs, Pixels
from flower_dgan.data.views import Views
from flower_dgan.data.windows import cut_window
from flower_dgan.device import device_of, to_cpu, to_device
from flower_dgan.errors import DataError
from flower_dgan.metrics.shared.finite import require_finite
from flower_dgan.tasks.instances.columns import check_numbers
from flower_dgan.tasks.instances.mask_rcnn import MaskRcnn
from flower_dgan.tasks.instances.truth import true_objects
from flower_dgan.tasks.on_views import ViewTraining

_WARM_UP = 0.2  # of the steps
_FINE = 64  # points of a line before it is cut by a window
_SMALLEST = 4  # pixels of an object that is left in a window
_SAME = 0.7  # intersection over union of masks of one object


def fit_mask_rcnn(
    pairs: Pairs,
    config: DownstreamConfig,
    *,
    image_size: int,
    augmentation: AugmentationName,
    seed: int,
    detector: Callable[[], MaskRCNN] | None = None,
) -> ViewTraining:
    """Begin the training of a :class:`~flower_dgan.tasks.instances.mask_rcnn.MaskRcnn`.

    Parameters
    ----------
    pairs : Pairs
        What to learn from: their objects, or those that are traced in their class maps, see
        :func:`~flower_dgan.tasks.instances.truth.true_objects`.
    config, image_size, augmentation, seed
        As for :func:`~flower_dgan.tasks.instances.fit.fit_dense`.
    detector : callable or None
        Makes the ``detector`` of the model; None for that on a ResNet-50.

    Raises
    ------
    ConfigError, DataError
        A number cannot be used, or there is nothing to learn from.
    """
    check_numbers(config, image_size)
    if not len(pairs):
        raise DataError("There is no pair to train a model of instances on.")
    objects = [each.without_crowds() for each in true_objects(pairs)]
    if not any(map(len, objects)):
        raise DataError("The pairs to learn instances from hold no object.")
    lines = [lines_of(each, _FINE) for each in objects]

    def build() -> MaskRcnn:
        channels = pairs.images[0].shape[2]
        made = None if detector is None else detector()
        return MaskRcnn(channels, skeleton=config.skeleton, used=config.uses_skeleton, detector=made)

    def loss(model: nn.Module, images: Tensor, views: Views) -> Tensor:
        assert isinstance(model, MaskRcnn)
        seen = zip(views.ids.tolist(), views.windows.tolist(), strict=True)
        targets = [targets_of(objects[index], lines[index], place, image_size) for index, place in seen]
        moved = [{name: to_device(value, images.device) for name, value in each.items()} for each in targets]
        return torch.stack(list(model.losses(images, moved).values())).sum()

    return ViewTraining(
        pairs,
        config,
        image_size=image_size,
        augmentation=augmentation,
        seed=seed,
        build=build,
        loss=loss,
        warm_up=_WARM_UP,
    )


def targets_of(objects: ObjectMasks, lines: Sequence[Line], place: Sequence[int], side: int) -> dict[str, Tensor]:
    """Return what Mask R-CNN is to find in a view of an image.

    Parameters
    ----------
    objects : ObjectMasks
        Of the image.
    lines : sequence of float arrays (points, 2)
        Their centre lines, row and column in the image.
    place : sequence of four int
        The view: top, left, mirror and angle, as :func:`~flower_dgan.data.windows.cut_window` takes them.
    side : int
        Of the view, in pixels.
    """
    masks: list[Pixels] = []
    shown: list[Line] = []
    for region, line in zip(objects.regions, lines, strict=True):
        whole = np.zeros((objects.height, objects.width), np.uint8)
        whole[region.window] = region.pixels
        mask = cut_window(whole, place, side, Resampling.NEAREST)
        seen = line_in_view(line, place, side)
        if seen is not None and np.count_nonzero(mask) >= _SMALLEST:
            masks.append(mask)
            shown.append(seen)
    stack = np.stack(masks) if masks else np.zeros((0, side, side), np.uint8)
    points = np.stack(shown)[..., ::-1] + 0.5 if shown else np.zeros((0, POINTS, 2))  # the middle of a pixel
    return {
        "boxes": torch.tensor([_box(mask) for mask in masks], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(masks), dtype=torch.int64),
        "masks": torch.from_numpy(np.ascontiguousarray(stack)),
        "lines": torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)),
    }


def line_in_view(line: Line, place: Sequence[int], side: int) -> Line | None:
    """Return the longest part of a line (points, 2) that a view shows, 16 points; None if it shows less than two."""
    top, left, mirror, angle = place
    rows, columns = (line - (top, left)).T
    middle = (side - 1) / 2
    down, right = rows - middle, (middle - columns if mirror else columns - middle)
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    seen = np.stack([cosine * down - sine * right, sine * down + cosine * right], axis=1) + middle
    runs, count = ndimage.label(((seen >= -0.5) & (seen <= side - 0.5)).all(1))
    if not count:
        return None
    longest = runs == 1 + int(np.argmax(np.bincount(runs)[1:]))
    return evenly(seen[longest], POINTS) if longest.sum() > 1 else None


def find_regions(model: MaskRcnn, image: Pixels, enlarged: int = 1) -> ObjectMasks:
    """Return the objects that a model finds in an image, as :func:`~flower_dgan.tasks.instances.predict.find_objects`.

    Where its lines are used, a score is also that of the mask along the line.
    """
    model.eval()
    batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(torch.float32) / 127.5 - 1
    with torch.no_grad():
        (found,) = model(to_device(batch, device_of(model)))
    values = {name: to_cpu(value) for name, value in found.items()}
    for value in values.values():
        require_finite(value, "what the model makes of images")
    maps, scores = values["masks"][:, 0].numpy(), values["scores"].numpy().astype(np.float64)
    height, width = image.shape[:2]
    lines: list[Line] = []
    if model.used:
        points = values["lines"].numpy()[..., ::-1].astype(np.float64) - 0.5
        lines = list(np.clip(points, 0, np.array([height - 1, width - 1])))
        along = [tuple(np.rint(line).astype(int).T) for line in lines]
        scores = scores * [each[at].mean() for each, at in zip(maps, along, strict=True)]
    if enlarged > 1:
        maps = ndimage.zoom(maps, (1, enlarged, enlarged), order=1, grid_mode=True, mode="nearest")
        lines = [enlarged * line + (enlarged - 1) / 2 for line in lines]
    masks = maps > 0.5
    kept = _different(masks, scores)
    return ObjectMasks(
        enlarged * height,
        enlarged * width,
        tuple(region_of(masks[index]) for index in kept),
        scores=tuple(float(scores[index]) for index in kept),
        threshold=float(model.threshold),
        lines=tuple(lines[index] for index in kept) if lines else (),
    )


def _different(masks: NDArray[np.bool_], scores: NDArray[np.float64]) -> list[int]:
    """Return which masks (objects, height, width) are there and of no object of a higher score, the surest first."""
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    areas = flat.sum(1)
    shared = flat @ flat.T
    unions = np.maximum(areas[:, None] + areas - shared, 1)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if areas[index] and not any(shared[index, other] > _SAME * unions[index, other] for other in kept):
            kept.append(index)
    return kept


def _box(mask: Pixels) -> tuple[int, int, int, int]:
    region = region_of(mask > 0)
    rows, columns = region.window
    return columns.start, rows.start, columns.stop, rows.stop
