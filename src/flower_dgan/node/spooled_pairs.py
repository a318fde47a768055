"""Pairs that are too many for memory, between the owner's files and what a node keeps: in files without a name."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from platformdirs import user_state_path

from flower_dgan.data import Entry, Pairs, Source
from flower_dgan.errors import StorageError
from flower_dgan.node.mapped_arrays import MappedArrays
from flower_dgan.node.writable import cannot_keep
from flower_dgan.private import private_directory

LARGE = 2**26
"""Bytes of images and label maps from which on they are not all in memory at once."""
_PART = 256  # pairs in memory at a time


@dataclass(frozen=True)
class SpooledPairs(Pairs):
    """Pairs whose pixels lie in two files that nobody else can open and that end with the process, also by a signal.

    Attributes
    ----------
    image_file, label_map_file : binary file
        The pixels, one array after the other.
    """

    image_file: IO[bytes] | None = None
    label_map_file: IO[bytes] | None = None


def load_or_spool(source: Source, entries: Sequence[Entry], channels: int) -> Pairs:
    """Read pairs into memory, or if they are large, part by part into files that are mapped.

    Parameters
    ----------
    source : Source
        Where they come from.
    entries : sequence of Entry
        Which ones.
    channels : int
        Of their images.

    Raises
    ------
    DataError
        If one cannot be read.
    StorageError
        If there is no room for the files.
    """
    if sum(entry.height * entry.width for entry in entries) * (channels + 1) < LARGE:
        return source.load(entries)
    place = user_state_path("flower-dgan")
    try:
        private_directory(place)
        return _spool(source, entries, place)
    except OSError as error:
        raise StorageError(
            f"{cannot_keep('pairs', place, error)}. Whoever moves the state directory to another disk moves all of it: "
            "the owner's book is in it."
        ) from error


def copy_file(file: IO[bytes], end: IO[bytes]) -> None:
    """Copy a file from its start to where another one is, without mapping either."""
    file.seek(0)
    shutil.copyfileobj(file, end, 2**20)


def read_arrays(file: IO[bytes], shapes: Sequence[tuple[int, ...]]) -> Iterator[bytes]:
    """Yield the bytes of each array of a file, without mapping it."""
    file.seek(0)
    for shape in shapes:
        yield file.read(int(np.prod(shape)))


def _spool(source: Source, entries: Sequence[Entry], place: Path) -> SpooledPairs:
    files = [tempfile.TemporaryFile(dir=place) for _ in range(2)]  # noqa: SIM115
    shapes: list[list[tuple[int, ...]]] = [[], []]
    for start in range(0, len(entries), _PART):
        part = source.load(entries[start : start + _PART])
        for file, found, arrays in zip(files, shapes, (part.images, part.label_maps), strict=True):
            for array in arrays:
                file.write(np.ascontiguousarray(array, np.uint8).data)
                found.append(array.shape)
    for file in files:
        file.flush()
    images, label_maps = (MappedArrays(file, found) for file, found in zip(files, shapes, strict=True))
    return SpooledPairs(images, label_maps, source.classes, image_file=files[0], label_map_file=files[1])
