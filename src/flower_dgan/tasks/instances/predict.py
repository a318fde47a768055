"""What a model of instances finds in real images, each looked at whole."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from flower_dgan.data.object_masks import ObjectMasks, in_array
from flower_dgan.data.pairs import Pairs, Pixels
from flower_dgan.device import device_of, to_cpu, to_device
from flower_dgan.errors import DataError
from flower_dgan.metrics.shared.finite import require_finite
from flower_dgan.tasks.instances.dense import CROSSING, FOREGROUND, LINE, DenseModel
from flower_dgan.tasks.instances.mask_rcnn import MaskRcnn
from flower_dgan.tasks.instances.regions import find_regions
from flower_dgan.tasks.instances.tracing import trace
from flower_dgan.tasks.instances.truth import true_objects
from flower_dgan.tasks.task import Compare


def predict_instances(model: nn.Module, pairs: Pairs) -> Iterator[Compare]:
    """Predict the objects of whole images, one after the other.

    Parameters
    ----------
    model : nn.Module
        A trained one of :func:`~flower_dgan.tasks.instances.fit.fit_dense`, or of
        :func:`~flower_dgan.tasks.instances.regions.fit_mask_rcnn`; left in evaluation mode.
    pairs : Pairs
        The images to predict. The true objects are those of :func:`~flower_dgan.tasks.instances.truth.true_objects`.

    Raises
    ------
    DataError
        At the end: there was nothing to find. A NotFiniteError if what the model makes is not finite.
    """
    there = False
    for true, image in zip(true_objects(pairs), pairs.images, strict=True):
        there |= bool(len(true.without_crowds()))
        yield {"instances": (in_array([true]), in_array([find_objects(model, image)]))}
    if not there:
        raise DataError("The test pairs hold no object; pick other test data.")


def find_objects(model: nn.Module, image: Pixels, enlarged: int = 1) -> ObjectMasks:
    """Return the objects that a model finds in an image, uint8 (height, width, channels), with scores and lines.

    Parameters
    ----------
    model : nn.Module
        As for :func:`predict_instances`.
    image : uint8 array (height, width, channels)
        Of at least 16 pixels a side.
    enlarged : int
        By how much the masks are larger than the image.
    """
    if isinstance(model, MaskRcnn):
        return find_regions(model, image, enlarged)
    if not isinstance(model, DenseModel):
        raise TypeError(f"a {type(model).__name__} is no model of instances")
    model.eval()
    batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(torch.float32) / 127.5 - 1
    with torch.no_grad():
        logits = to_cpu(model(to_device(batch, device_of(model))))
    require_finite(logits, "what the model makes of images")
    maps = torch.sigmoid(logits)[0].numpy()
    line = maps[LINE] if model.used else None
    found = trace(maps[FOREGROUND], maps[CROSSING], line, model.scale, enlarged)
    return replace(found, threshold=float(model.threshold))
