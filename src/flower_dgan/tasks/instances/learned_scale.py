"""Whether what a model found is as wide as what it learned: images of another scale give wrong counts and lengths."""

from collections.abc import Sequence

import numpy as np
from torch import nn

from flower_dgan.data.centre_lines import length
from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.tasks.instances.dense import DenseModel

# Area over length of worms at the right size is 1.2 to 1.3 times the width that is learned along centre lines, and 1.6
# to 1.8 times at twice the size, as no mask is wider than some half widths.
_NARROWEST, _WIDEST = 0.65, 1.5


def scale_remark(model: nn.Module, found: Sequence[ObjectMasks]) -> str:
    """Say how large the objects are that a dense model learned, and whether those that it found are not.

    Of Mask R-CNN, which measures none, there is nothing to say.

    Parameters
    ----------
    model : nn.Module
        A trained one.
    found : sequence of ObjectMasks
        The objects of each image that count, with their lines.
    """
    if not isinstance(model, DenseModel):
        return ""
    learned = model.scale
    if learned.is_round:
        said = f"The model learned round objects of about {learned.length:.0f} pixels across."
        widths = [2 * np.sqrt(region.area / np.pi) for objects in found for region in objects.regions]
    else:
        said = (
            f"The model learned objects of about {learned.length:.0f} pixels in length and "
            f"{2 * learned.half_width:.0f} in width, and finds those of that size alone."
        )
        widths = [
            region.area / max(length(line), 1.0)
            for objects in found
            for region, line in zip(objects.regions, objects.lines, strict=True)
        ]
    if not widths:
        return said
    times = float(np.median(widths)) / (2 * learned.half_width)
    if _NARROWEST <= times <= _WIDEST:
        return said
    return (
        f"{said} What it found is {times:.1f} times as wide, so that counts and lengths are likely to be wrong: bring "
        "the images to the size of those that it learned from, as `flower-dgan data prepare` did."
    )
