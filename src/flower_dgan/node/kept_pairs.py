"""A node's real pairs as they were when it joined a training: in files that are mapped into memory, not read."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, open_memmap, write_array_header_1_0
from numpy.typing import NDArray

from flower_dgan.data import Pairs, Pixels
from flower_dgan.node.mapped_arrays import MappedArrays
from flower_dgan.node.spooled_pairs import SpooledPairs, copy_file, read_arrays
from flower_dgan.private import private_file
from flower_dgan.whole_file import whole_file

_IMAGES, _LABEL_MAPS, _SHAPES, HASHES = "images.npy", "label_maps.npy", "shapes.npy", "hashes.npy"


def keep_pairs(directory: Path, pairs: Pairs) -> None:
    """Write pairs into a directory, and wait until they are on its disk; raises OSError if that is full."""
    for file, arrays in ((_IMAGES, pairs.images), (_LABEL_MAPS, pairs.label_maps)):
        # One after the other: a copy in memory would double what a large data set takes. Not by way of a map of the
        # file in memory, as a full disk then ends the process by a signal.
        private_file(directory / file)
        with (directory / file).open("wb") as opened:
            size = sum(array.size for array in arrays)
            write_array_header_1_0(opened, header_data_from_array_1_0(np.empty(0, np.uint8)) | {"shape": (size,)})
            if (spooled := _spooled(pairs, file)) is not None:
                copy_file(spooled, opened)
            else:
                for array in arrays:
                    opened.write(np.ascontiguousarray(array, np.uint8).data)
            opened.flush()
            os.fsync(opened.fileno())
    with whole_file(directory / _SHAPES, private=True) as partial, partial.open("wb") as opened:
        np.save(opened, np.array([image.shape for image in pairs.images]))


def kept_pairs(directory: Path, classes: int) -> Pairs:
    """Return the pairs of a directory, with the number of classes that they had."""
    shapes = np.load(directory / _SHAPES)
    images = _split(directory / _IMAGES, shapes)
    return Pairs(images, _split(directory / _LABEL_MAPS, shapes[:, :2]), classes)


def digest(pairs: Pairs) -> str:
    """Return a hash of the pixels of pairs and of their order."""
    found = hashlib.sha256()
    for file, arrays in ((_IMAGES, pairs.images), (_LABEL_MAPS, pairs.label_maps)):
        shapes = [array.shape for array in arrays]
        spooled = _spooled(pairs, file)
        pixels = map(_bytes, arrays) if spooled is None else read_arrays(spooled, shapes)
        for shape, content in zip(shapes, pixels, strict=True):
            found.update(f"{shape}".encode())
            found.update(content)
    return found.hexdigest()


def hashes(pairs: Pairs) -> NDArray[np.uint8]:
    """Return a hash of the pixels of each image, (images, 32)."""
    spooled = _spooled(pairs, _IMAGES)
    if spooled is None:
        return hashes_of(pairs.images)
    shapes = [image.shape for image in pairs.images]
    return hashes_of(
        np.frombuffer(c, np.uint8).reshape(s) for s, c in zip(shapes, read_arrays(spooled, shapes), strict=True)
    )


def hashes_of(images: Iterable[Pixels]) -> NDArray[np.uint8]:
    """Return a hash of each image, (images, 32): what the book of the node's owner knows it by."""
    found = [hashlib.sha256(f"{image.shape}".encode() + _bytes(image)).digest() for image in images]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, hashlib.sha256().digest_size)


def keep_hashes(file: Path, images: NDArray[np.uint8]) -> None:
    """Write the hashes of images into a file."""
    with whole_file(file, private=True) as partial, partial.open("wb") as opened:
        np.save(opened, images)


def kept_hashes(directory: Path, pairs: Pairs) -> NDArray[np.uint8]:
    """Return the hashes that were kept of a directory's images; where none were, those of its pairs."""
    file = directory / HASHES
    return np.asarray(np.load(file)) if file.is_file() else hashes(pairs)


def _spooled(pairs: Pairs, file: str) -> IO[bytes] | None:
    if not isinstance(pairs, SpooledPairs):
        return None
    return pairs.image_file if file == _IMAGES else pairs.label_map_file


def _bytes(array: Pixels) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def _split(path: Path, shapes: NDArray[np.int64]) -> tuple[Pixels, ...]:
    """Return the arrays of a file, mapped into memory; of a plain type, whose views are made twenty times as fast."""
    whole = open_memmap(path, "r")  # which finds out whether the file is whole
    with path.open("rb") as file:
        return MappedArrays(file, list(map(tuple, shapes.tolist())), whole.offset)
