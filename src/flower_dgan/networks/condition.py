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
    noise = _with_site(inputs.noise, inputs, site_count)
    constants = noise[:, :, None, None].expand(-1, -1, *inputs.label_maps.shape[2:])
    return torch.cat([inputs.label_maps, constants], 1)


def condition_vector(inputs: GeneratorInput, site_count: int) -> Tensor:
    """Return noise, class and one-hot site, (batch, noise + classes + site_count), where label maps are constant.

    A single class says nothing, and is left away, see :func:`class_features`; so is the site where the count is 0.
    """
    return _with_site(torch.cat([inputs.noise, class_vector(inputs.label_maps)], 1), inputs, site_count)


def _with_site(values: Tensor, inputs: GeneratorInput, site_count: int) -> Tensor:
    if not site_count:
        return values
    return torch.cat([values, F.one_hot(inputs.sites, site_count).to(values.dtype)], 1)


def class_features(classes: int) -> int:
    """Return the length of :func:`class_vector`: a single class says nothing, and is left away."""
    return classes if classes > 1 else 0


def class_vector(label_maps: Tensor) -> Tensor:
    """Return the class of each image, (batch, classes), from label maps that are constant; (batch, 0) for one class.

    It is the mean of the one-hot label map over the pixels.
    """
    return label_maps.mean((2, 3))[:, : class_features(label_maps.shape[1])]
