"""What a segmentation model finds on real pairs: masks, and the objects in them."""

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import label  # type: ignore[import-untyped]
from torch import nn

from flower_dgan.data.pairs import Pairs, Pixels
from flower_dgan.data.views import Views
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.metrics import Ids
from flower_dgan.tasks.on_views import likeliest_classes
from flower_dgan.tasks.segmentation.fit import class_ids
from flower_dgan.tasks.task import Compare

_TOUCHING = np.ones((3, 3), dtype=bool)


def check_masks(pairs: Pairs, *, objects: bool) -> None:
    """Raise ConfigError or DataError if real pairs have nothing to find; for before any work.

    All want a foreground pixel in the true label maps. Objects want two classes, and a numbered one if any are
    numbered.
    """
    if objects and pairs.classes != 2:
        raise ConfigError(
            "Some of downstream.metrics compare objects of one kind, and these label maps have "
            f"{pairs.classes - 1} classes beside the background: name metrics of masks alone."
        )
    if not any(label_map.any() for label_map in pairs.label_maps):
        raise DataError("The label maps to score against have no foreground pixel; pick other test data.")
    if objects and pairs.instances and not any(ids.any() for ids in pairs.instances):
        raise DataError("The instances to score against hold no object; pick other test data.")


def predict_masks(model: nn.Module, pairs: Pairs, image_size: int, *, objects: bool) -> Iterator[Compare]:
    """Predict the windows that tile every image from its top left; a margin that is left is not looked at.

    Parameters
    ----------
    model : nn.Module
        Float32 (batch, channels, image_size, image_size) in [-1, 1] to logits (batch, classes, image_size, image_size);
        left in evaluation mode.
    pairs : Pairs
        The images to predict and their true label maps.
    image_size : int
        Height and width in pixels of a window.
    objects : bool
        Whether objects are wanted, too. A window's edge cuts them. The true ones are ``pairs.instances`` or, without,
        connected components, as the predicted ones are.

    Raises
    ------
    DataError
        At the end: the windows had nothing to find, whatever is in the margins.
    """
    masks_there = objects_there = False
    for views, classes in likeliest_classes(model, pairs, image_size):
        true, predicted = class_ids(pairs, views, image_size).numpy(), classes.numpy()
        masks_there |= bool(true.any())
        if not objects:
            yield {"masks": (true, predicted)}
            continue
        true_objects = _true_objects(pairs, views, true)
        objects_there |= bool(true_objects.any())
        predicted_objects = np.stack([number_objects(mask > 0) for mask in predicted])
        yield {"masks": (true, predicted), "objects": (true_objects, predicted_objects)}
    if not masks_there or (objects and not objects_there):
        raise DataError("The windows of the test pairs have nothing to find; pick other test data.")


def whole_mask(model: nn.Module, image: Pixels, image_size: int) -> Pixels:
    """Predict all of one image, in windows of which the last of a row and of a column lie flush with the edge.

    Parameters
    ----------
    model, image_size
        As for :func:`predict_masks`.
    image : uint8 array (height, width, channels)
        At least as large as a window.

    Returns
    -------
    uint8 array (height, width)
        Class ids.

    Raises
    ------
    DataError
        The image is too small. A NotFiniteError if what the model makes is not finite.
    """
    height, width = image.shape[:2]
    if min(height, width) < image_size:
        raise DataError(f"it is {height} x {width} pixels, and the model looks at windows of {image_size}")
    found = np.zeros((height, width), np.uint8)
    for top in {*range(0, height - image_size, image_size), height - image_size}:
        for left in {*range(0, width - image_size, image_size), width - image_size}:
            window = image[top : top + image_size, left : left + image_size]
            alone = Pairs((window,), (np.zeros(window.shape[:2], np.uint8),), 2)
            ((_, classes),) = likeliest_classes(model, alone, image_size)
            found[top : top + image_size, left : left + image_size] = classes[0].numpy()
    return found


def number_objects(mask: Ids) -> Ids:
    """Number the objects of a mask: its connected components, where pixels that touch at a corner are connected."""
    ids: Ids = label(mask, _TOUCHING)[0]
    return ids


def _true_objects(pairs: Pairs, views: Views, true: Ids) -> Ids:
    if pairs.instances is None:
        return np.stack([number_objects(mask > 0) for mask in true])
    side = true.shape[1]
    places = zip(views.ids.tolist(), views.windows.tolist(), strict=True)
    return np.stack(
        [pairs.instances[index][top : top + side, left : left + side] for index, (top, left, _, _) in places]
    )
