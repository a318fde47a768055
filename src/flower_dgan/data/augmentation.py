"""Views: the server draws those of the label maps that it makes images from, a node those of its real pairs."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling

from flower_dgan.config import AugmentationName
from flower_dgan.config.data_settings import COLOURED
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.views import Views
from flower_dgan.data.windows import STRONGEST_COLOURS, change_colours, cut_window
from flower_dgan.device import to_device
from flower_dgan.errors import ProtocolError
from flower_dgan.lazily import torch

# Degrees from one angle to the next.
_ANGLES: Mapping[AugmentationName, int] = MappingProxyType({"flips": 90, "rotations": 1, "all": 1})


def draw_views(
    sizes: NDArray[np.integer[Any]],
    count: int,
    image_size: int,
    augmentation: AugmentationName,
    generator: "torch.Generator",
) -> Views:
    """Draw a batch of views uniformly.

    Parameters
    ----------
    sizes : int array (n, 2)
        Height and width in pixels of every pair, from ``image_size`` to 32,767.
    count : int
        Views to draw, at least 1. Up to n of them are of different pairs; more are drawn with replacement.
    image_size : int
        Side of a window in pixels. Windows lie anywhere in the image, whatever the augmentation.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        ``flips``: mirrored with probability 1/2 and turned by 0 .. 3 quarters. ``rotations``: mirrored with probability
        1/2 and turned by 0 .. 359 degrees. ``colour``: colours changed by up to ``STRONGEST_COLOURS``. ``all``: as
        ``rotations`` and ``colour``.
    generator : torch.Generator
        On the CPU; the only source of randomness.

    Returns
    -------
    Views
        ``count`` views that pass ``check``.

    Raises
    ------
    ValueError
        If there is nothing to draw from, or an image is smaller than the window.
    """
    _require_room(sizes, image_size)
    if count < 1 or not len(sizes):
        raise ValueError(f"{count} views of {len(sizes)} pairs")
    if count <= len(sizes):
        ids = torch.randperm(len(sizes), generator=generator)[:count].numpy()
    else:
        ids = torch.randint(len(sizes), (count,), generator=generator).numpy()
    windows = np.zeros((count, 4), dtype=np.int16)
    room = sizes[ids].astype(np.int64) - image_size + 1
    windows[:, :2] = np.floor(torch.rand(count, 2, dtype=torch.float64, generator=generator).numpy() * room)
    if step := _ANGLES.get(augmentation):
        windows[:, 2] = torch.randint(2, (count,), generator=generator).numpy()
        windows[:, 3] = step * torch.randint(360 // step, (count,), generator=generator).numpy()
    if augmentation not in COLOURED:
        return Views(ids, windows)
    changes = [torch.randint(-most, most + 1, (count,), generator=generator) for most in STRONGEST_COLOURS]
    return Views(ids, windows, torch.stack(changes, 1).to(torch.int8).numpy())


def grid_views(sizes: NDArray[np.integer[Any]], image_size: int) -> Views:
    """Cover every image with non-overlapping windows from its top left, for tests; a margin that is left is not used.

    Parameters
    ----------
    sizes : int array (n, 2)
        Height and width in pixels of every pair, from ``image_size`` to 32,767.
    image_size : int
        Side of a window in pixels.

    Returns
    -------
    Views
        Pair by pair, row by row; neither mirrored nor turned.

    Raises
    ------
    ValueError
        If an image is smaller than the window.
    """
    _require_room(sizes, image_size)
    views = [
        (index, top, left, 0, 0)
        for index, (height, width) in enumerate(sizes.tolist())
        for top in range(0, height - image_size + 1, image_size)
        for left in range(0, width - image_size + 1, image_size)
    ]
    table = np.array(views, dtype=np.int64).reshape(len(views), 5)
    return Views(table[:, 0].copy(), table[:, 1:].astype(np.int16))


def apply_to_images(
    images: Sequence[Pixels], views: Views, image_size: int, device: "torch.device | None" = None
) -> "torch.Tensor":
    """Cut views out of images and change their colours; turned by other angles than quarters they are interpolated.

    Parameters
    ----------
    images : sequence of uint8 arrays (height, width, channels)
        All images of the client.
    views : Views
        Checked against the images.
    image_size : int
        Side of a window in pixels.
    device : torch.device or None
        Where it is made, of pixels that travel as uint8; None for the CPU.

    Returns
    -------
    float32 tensor (batch, channels, image_size, image_size)
        In [-1, 1]: value / 127.5 - 1.

    Raises
    ------
    ProtocolError
        If the views do not fit the images.
    """
    windows = _cut(images, views, image_size, Resampling.BILINEAR)
    if views.colours is not None:
        for window, colours in zip(windows, views.colours.tolist(), strict=True):
            window[...] = change_colours(window, colours)
    batch = torch.from_numpy(windows) if device is None else to_device(torch.from_numpy(windows), device)
    return batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format) / 127.5 - 1


def apply_to_label_maps(
    label_maps: Sequence[Pixels], classes: int, views: Views, image_size: int, device: "torch.device | None" = None
) -> "torch.Tensor":
    """Cut the same views out of label maps; where they are turned, a pixel gets the class of the nearest one.

    Parameters
    ----------
    label_maps : sequence of uint8 arrays (height, width)
        All label maps of the client, with values below ``classes``.
    classes : int
        Number of classes, background included.
    views : Views
        Checked against the label maps.
    image_size : int
        Side of a window in pixels.
    device : torch.device or None
        As for :func:`apply_to_images`.

    Returns
    -------
    float32 tensor (batch, classes, image_size, image_size)
        One-hot: 1 in the channel of the pixel's class, 0 elsewhere.

    Raises
    ------
    ProtocolError
        If the views do not fit the label maps.
    """
    return to_one_hot(_cut(label_maps, views, image_size, Resampling.NEAREST), classes, device)


def to_one_hot(label_maps: Pixels, classes: int, device: "torch.device | None" = None) -> "torch.Tensor":
    """Return uint8 label maps (batch, height, width) as one-hot float32 (batch, classes, height, width).

    They are made on a device, of the class ids; on the CPU where it is None.

    Raises
    ------
    ProtocolError
        If a value is no class.
    """
    if label_maps.size and label_maps.max() >= classes:
        raise ProtocolError(f"Label maps hold class {label_maps.max()} of {classes} (0 .. {classes - 1}).")
    ids = torch.from_numpy(label_maps)
    batch = (ids if device is None else to_device(ids, device)).unsqueeze(1)
    # Plane by plane: all at once in the type of an index they would take three times as much.
    return torch.cat([batch == index for index in range(classes)], dim=1).to(torch.float32)


def _cut(arrays: Sequence[Pixels], views: Views, image_size: int, resampling: Resampling) -> Pixels:
    views.check(_sizes_of_viewed(arrays, views), image_size)
    batch = np.empty((len(views.ids), image_size, image_size, *arrays[0].shape[2:]), dtype=np.uint8)
    for window, index, place in zip(batch, views.ids, views.windows.tolist(), strict=True):
        window[...] = cut_window(arrays[index], place, image_size, resampling)
    return batch


def _sizes_of_viewed(arrays: Sequence[Pixels], views: Views) -> NDArray[np.int64]:
    """Return the sizes of arrays, but 0 of what no view is of: a batch is few of many images."""
    sizes = np.zeros((len(arrays), 2), np.int64)
    for index in set(views.ids.ravel().tolist()):
        if index in range(len(arrays)):
            sizes[index] = arrays[index].shape[:2]
    return sizes


def _require_room(sizes: NDArray[np.integer[Any]], image_size: int) -> None:
    if len(sizes) and sizes.min() < image_size:
        raise ValueError(f"an image with a side of {sizes.min()} pixels has no window of {image_size}")
