"""The condition of a generator: label maps with noise and site as constant channels, or the class of the image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.gan.exchange import GeneratorInput


def condition_channels(classes: int, noise_channels: int, sites: int) -> int:
    """Return the channels of :func:`condition`; ``sites`` is 0 without site condition."""
    return classes + noise_channels + sites


def condition(inputs: GeneratorInput, site_count: int) -> Tensor:
    """Stack label maps, noise and one-hot site, the latter two spread over the image.

    Parameters
    ----------
    inputs : GeneratorInput
        Its texture is not used, nor are its sites where ``site_count`` is 0.
    site_count : int
        Number of sites, or 0 for no site condition.

    Returns
    -------
    Tensor, (batch, classes + noise_channels + site_count, height, width)
    """
    parts = [inputs.noise]
    if site_count:
        parts.append(F.one_hot(inputs.sites, site_count).to(inputs.noise.dtype))
    constants = torch.cat(parts, 1)[:, :, None, None].expand(-1, -1, *inputs.label_maps.shape[2:])
    return torch.cat([inputs.label_maps, constants], 1)


def class_features(classes: int) -> int:
    """Return the length of :func:`class_vector`: a single class says nothing, and is left away."""
    return classes if classes > 1 else 0


def class_vector(label_maps: Tensor) -> Tensor:
    """Return the class of each image, (batch, classes), from label maps that are constant; (batch, 0) for one class.

    It is the mean of the one-hot label map over the pixels.
    """
    return label_maps.mean((2, 3))[:, : class_features(label_maps.shape[1])]
