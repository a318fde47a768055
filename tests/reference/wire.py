"""What becomes of numbers that travel, by the formats' definition, in numpy and in float32 as the wire has it.

A value that stands within float32's rounding of the middle between two levels may go to either: a product that rounds
otherwise by one bit may then differ by a level, 2 / 255 of a pixel or 2^-11 of a gradient, in that one number.
"""

import numpy as np
import torch
from torch import Tensor


def received_images(images: Tensor, image_format: str) -> Tensor:
    """Return images as a client sees them: level n of 0 .. 255 is n / 127.5 - 1, the nearest one is taken."""
    if image_format == "float32":
        return images
    values = images.numpy().astype(np.float32)
    levels = np.clip(np.rint((values + np.float32(1)) * np.float32(127.5)), 0, 255).astype(np.uint8)
    return torch.from_numpy(levels.astype(np.float32) / np.float32(127.5) - np.float32(1))


def received_gradients(gradients: Tensor, feedback_format: str) -> Tensor:
    """Return gradients as the server sees them.

    Beside each sample travels its largest magnitude m; g / m, in [-1, 1], travels as the nearest float16, and as int8
    127 g / m as the nearest integer. A sample of zeros stays one.
    """
    if feedback_format == "float32":
        return gradients
    largest = np.float32(1 if feedback_format == "float16" else 127)
    seen = np.zeros(gradients.shape, np.float32)
    for sample, values in enumerate(gradients.numpy()):
        scale = np.abs(values).max()
        if scale == 0:
            continue
        ratios = values * (largest / scale)
        sent = ratios.astype(np.float16) if feedback_format == "float16" else np.rint(ratios).astype(np.int8)
        seen[sample] = sent.astype(np.float32) * (scale / largest)
    return torch.from_numpy(seen)
