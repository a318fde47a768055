"""Number formats of images and feedback on the wire.

Images travel as uint8, as the real ones are stored, so that a discriminator cannot tell synthetic images by their
precision, or as float32. Feedback travels as float32, or as float16 or int8 with one scale a sample: its largest
magnitude, which the format's own largest value stands for.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flower_dgan.config import FeedbackFormat, ImageFormat

FULL_SCALE = {"float16": 1.0, "int8": 127.0}
"""The value that stands for a sample's scale, and the largest of a format that has one."""


def encode_images(images: Tensor, image_format: ImageFormat) -> NDArray[np.generic]:
    """Return images in [-1, 1] as float32, or as uint8 rounded to the nearest of 256 levels."""
    if image_format == "float32":
        return images.detach().numpy()
    return images.detach().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def decode_images(images: NDArray[np.generic]) -> Tensor:
    """Return the images as float32 in [-1, 1], uint8 as x / 127.5 - 1."""
    decoded = torch.from_numpy(images)
    return decoded if decoded.dtype == torch.float32 else decoded.float().div(127.5).sub(1)


def encode_gradients(
    gradients: Tensor, feedback_format: FeedbackFormat
) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """Return gradients (samples, channels, height, width) in the format, and the scale of each sample (samples,).

    The scale is 1 for float32. A sample of zeros has scale 0 and comes back as zeros.
    """
    samples = len(gradients)
    if feedback_format == "float32":
        return gradients.numpy(), np.ones(samples, np.float32)
    scales = gradients.abs().flatten(1).amax(1)
    full = FULL_SCALE[feedback_format]
    ratios = gradients * (full / scales.clamp_min(torch.finfo(torch.float32).tiny))[:, None, None, None]
    encoded = ratios.half() if feedback_format == "float16" else ratios.round().to(torch.int8)
    return encoded.numpy(), scales.numpy()


def decode_gradients(gradients: NDArray[np.generic], scales: NDArray[np.float32]) -> Tensor:
    """Return float32 gradients from what :func:`encode_gradients` made."""
    decoded = torch.from_numpy(gradients)
    if decoded.dtype == torch.float32:
        return decoded
    return decoded.float() * (torch.from_numpy(scales) / FULL_SCALE[str(gradients.dtype)])[:, None, None, None]


def largest_decoded(gradients: NDArray[np.generic], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest and the smallest number of each sample, (2, samples), as :func:`decode_gradients` makes them.

    They are finite if all are, as its rounding keeps the order; both may be infinite though gradients and scales are
    not.
    """
    if not gradients.size:
        return np.zeros((2, len(gradients)), np.float32)
    flat = gradients.reshape(len(gradients), -1)
    ends = np.stack([flat.max(1), flat.min(1)], 1)[:, :, None, None]
    decoded: NDArray[np.float32] = decode_gradients(ends, scales)[:, :, 0, 0].numpy().T
    return decoded
