"""Images of any number of channels as files: grey and RGB as PNG, others as ``.npy`` (height, width, channels)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.config.data_settings import PICTURED
from flower_dgan.data.pairs import LARGEST_SIDE, Pixels
from flower_dgan.errors import DataError, reason_of
from flower_dgan.names import inside
from flower_dgan.whole_file import require_file, whole_file, writing

ARRAY_SUFFIX = ".npy"


def open_array(path: Path, channels: int) -> Pixels:
    """Map an image from a ``.npy`` file, without reading its pixels.

    Parameters
    ----------
    path : Path
        uint8 array (height, width, channels).
    channels : int
        How many are wanted.

    Returns
    -------
    uint8 array (height, width, channels)
        Read-only, still in its file.

    Raises
    ------
    DataError
        If the file cannot be read or is cut off, or holds another type, rank or number of channels.
    """
    array = _mapped(path)
    if array.dtype != np.uint8 or array.ndim != 3:
        raise DataError(
            f"{path} holds {array.dtype} of shape {array.shape}: save it as uint8 (height, width, channels)."
        )
    if array.shape[2] != channels:
        raise DataError(f"{path} has {array.shape[2]} channels, and data.channels={channels}: make them equal.")
    _check_side(array, path)
    return array


def open_numbers(path: Path) -> NDArray[Any]:
    """Map an image of any numbers and channels, (height, width) or (height, width, channels), from a ``.npy`` file.

    Raises
    ------
    DataError
        If the file cannot be read or is cut off, or holds no real numbers or another rank.
    """
    array = _mapped(path)
    if array.dtype.kind not in "uif" or array.ndim not in (2, 3):
        raise DataError(
            f"{path} holds {array.dtype} of shape {array.shape}: save it as numbers (height, width, channels)."
        )
    _check_side(array, path)
    return array


def _mapped(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = open_memmap(require_file(path), "r")
    except Exception as error:  # numpy raises almost anything on a damaged header, also MemoryError.
        raise DataError(
            f"{path} cannot be read as .npy ({reason_of(error)}): replace it, or remove image and mask."
        ) from error
    if not array.size:
        raise DataError(f"{path} holds no pixel, its shape is {array.shape}: replace it, or remove image and mask.")
    return array


def _check_side(array: NDArray[Any], path: Path) -> None:
    if max(array.shape[:2]) > LARGEST_SIDE:
        raise DataError(
            f"{path} is {array.shape[0]} x {array.shape[1]} pixels: cut it into tiles of {LARGEST_SIDE} at most."
        )


def write_image(pixels: NDArray[Any], folder: Path, name: str) -> None:
    """Write an image, whole or not at all: ``<name>.png`` if it is grey or RGB, otherwise ``<name>.npy``.

    It is on the disk after :func:`~flower_dgan.whole_file.settle` for the folder.

    Parameters
    ----------
    pixels : array (height, width) or uint8 array (height, width, channels)
        The image, or a mask.
    folder : Path
        Made if need be.
    name : str
        Stem of the file.

    Raises
    ------
    ValueError
        If ``name`` is a path: nothing is written outside of the folder.
    StorageError
        If it cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    image = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
    path = inside(folder, f"{name}{'.png' if image.ndim == 2 or image.shape[2] in PICTURED else ARRAY_SUFFIX}")
    with whole_file(path, durable=False) as partial, partial.open("wb") as file:
        if path.suffix == ARRAY_SUFFIX:
            np.save(file, image)
        else:
            Image.fromarray(np.ascontiguousarray(image)).save(file, format="PNG")


def to_picture(image: Pixels) -> Pixels:
    """Return what a picture shows of an image (height, width, channels).

    Returns
    -------
    uint8 array (height, width, 3) or (height, shown width)
        RGB as it is; the other channels side by side in grey.
    """
    return image if image.shape[2] == 3 else np.concatenate(np.moveaxis(image, 2, 0), axis=1)
