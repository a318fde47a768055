"""Arrays of a file that is mapped into memory, of which little is resident, however many were looked at."""

import mmap
from collections.abc import Iterator, Sequence
from typing import IO, SupportsIndex, cast, overload

import numpy as np

from flower_dgan.data import Pixels

GIVEN = 2**24
"""Bytes of arrays that were given out, after which the pages that were read are let go."""


class MappedArrays(tuple[Pixels, ...]):
    """The arrays of a file, one after the other.

    The system maps more than is asked for around each page, and lets none go while memory is free: a node that had
    looked at each of its images would count as one that holds them all. So each time that arrays of 16 MiB were given
    out the whole map is let go. What is asked for again then is mapped again, out of the system's cache; arrays that
    were given out stay as they are.

    Parameters
    ----------
    file : binary file
        Read-only from now on, and not to be cut off; it may be closed.
    shapes : sequence of tuple of int
        Of the arrays, uint8.
    offset : int
        Bytes before the first.
    """

    _map: mmap.mmap
    _given: int

    def __new__(cls, file: IO[bytes], shapes: Sequence[tuple[int, ...]], offset: int = 0) -> "MappedArrays":
        """Map a file."""
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        flat = np.frombuffer(mapped, np.uint8, offset=offset)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes]).tolist()
        places = zip([0, *ends[:-1]], ends, shapes, strict=True)
        made = super().__new__(cls, (flat[start:end].reshape(shape) for start, end, shape in places))
        made._map, made._given = mapped, 0
        return made

    @overload
    def __getitem__(self, place: SupportsIndex) -> Pixels: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Pixels, ...]: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Pixels | tuple[Pixels, ...]:
        """Give out one array, or several."""
        found = super().__getitem__(place)
        if isinstance(place, slice):
            return found
        return self._counted(cast(Pixels, found))

    def __iter__(self) -> Iterator[Pixels]:
        """Give out one after the other."""
        return map(self._counted, super().__iter__())

    def _counted(self, array: Pixels) -> Pixels:
        self._given += array.nbytes
        if self._given >= GIVEN:
            self._given = array.nbytes
            self._map.madvise(mmap.MADV_DONTNEED)
        return array
