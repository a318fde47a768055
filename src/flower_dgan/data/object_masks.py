"""The objects of an image as masks, each whole: they may overlap, which one number a pixel cannot say.

In memory a mask is the bits of its bounding box, on disk a run length, see :mod:`flower_dgan.data.run_lengths`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

Bits = NDArray[np.bool_]
Line = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Region:
    """A mask without the empty rows and columns around it.

    Attributes
    ----------
    top, left : int
        First row and column of its bounding box in the image, in pixels.
    pixels : bool array (rows, columns)
        The mask in that box; in its first and last row and column is a pixel each.
    """

    top: int
    left: int
    pixels: Bits

    @property
    def area(self) -> int:
        """The number of pixels."""
        return int(np.count_nonzero(self.pixels))

    @property
    def window(self) -> tuple[slice, slice]:
        """Where its bounding box lies in the image."""
        rows, columns = self.pixels.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


@dataclass(frozen=True, eq=False)
class ObjectMasks:
    """The objects of one image, true or predicted.

    Attributes
    ----------
    height, width : int
        Of the image, in pixels.
    regions : tuple of Region
        A mask each; they may overlap, and an object may be in pieces.
    crowds : tuple of bool
        Of each true object whether it is an area of objects that nobody told apart (``iscrowd`` of COCO): it is neither
        found nor missed. Empty where none is.
    scores : tuple of float
        How sure a model is of each predicted object; empty for true ones.
    threshold : float
        From which score on a predicted object counts where objects are counted; average precision looks at all.
    lines : tuple of float arrays (points, 2)
        The centre line of each, row and column of each point in pixels, from one end to the other; empty where they are
        not known.
    """

    height: int
    width: int
    regions: tuple[Region, ...]
    crowds: tuple[bool, ...] = ()
    scores: tuple[float, ...] = ()
    threshold: float = 0.0
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is one of everything for each object, and that each lies in the image."""
        for each in (self.crowds, self.scores, self.lines):
            if len(each) not in (0, len(self.regions)):
                raise ValueError(f"{len(self.regions)} objects and {len(each)} crowds, scores or lines")
        for region in self.regions:
            rows, columns = region.window
            if not (0 <= rows.start < rows.stop <= self.height and 0 <= columns.start < columns.stop <= self.width):
                raise ValueError(f"an object at {region.window} of an image of {self.height} x {self.width} pixels")

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.regions)

    @property
    def in_crowds(self) -> Bits:
        """Which objects are crowds, bool (objects,)."""
        return np.array(self.crowds or (False,) * len(self), dtype=bool)

    @property
    def counted(self) -> Bits:
        """Which objects count, bool (objects,): all true ones, and predicted ones from the threshold on."""
        scores = self.scores or (np.inf,) * len(self)
        return np.array(scores, dtype=np.float64) >= self.threshold

    def stack(self) -> Bits:
        """Return all masks as a bool array (objects, height, width)."""
        masks = np.zeros((len(self), self.height, self.width), dtype=bool)
        for mask, region in zip(masks, self.regions, strict=True):
            mask[region.window] = region.pixels
        return masks

    def depth(self) -> NDArray[np.int32]:
        """Return how many objects lie on each pixel, int32 (height, width)."""
        depth = np.zeros((self.height, self.width), dtype=np.int32)
        for region in self.regions:
            depth[region.window] += region.pixels
        return depth

    def overlapping(self) -> Bits:
        """Return which objects share a pixel with another, bool (objects,); crowds are no objects in this."""
        shared = self.without_crowds().depth() > 1
        found = [bool((region.pixels & shared[region.window]).any()) for region in self.regions]
        return np.array(found, dtype=bool) & ~self.in_crowds

    def numbers(self) -> NDArray[np.int32]:
        """Return the number of the object of each pixel, from 1, 0 for none; where several lie, that of the last.

        A crowd, which is not one object, has no number.
        """
        numbers = np.zeros((self.height, self.width), dtype=np.int32)
        for number, region in enumerate(self.without_crowds().regions, start=1):
            numbers[region.window][region.pixels] = number
        return numbers

    def chosen(self, which: Bits) -> "ObjectMasks":
        """Return some of the objects, by a bool array (objects,)."""
        keep = np.flatnonzero(which).tolist()

        def some(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(values[index] for index in keep) if values else ()

        return replace(
            self,
            regions=some(self.regions),
            crowds=some(self.crowds),
            scores=some(self.scores),
            lines=some(self.lines),
        )

    def without_crowds(self) -> "ObjectMasks":
        """Return the objects that somebody told apart."""
        return self.chosen(~self.in_crowds)

    def window(self, top: int, left: int, height: int, width: int) -> "ObjectMasks":
        """Return what lies in a window of the image; objects at its edges are cut, those outside are gone.

        Lines are left out: those of cut objects would end outside.
        """
        masks = self.stack()[:, top : top + height, left : left + width]
        there: Bits = np.array([mask.any() for mask in masks], dtype=bool)
        regions = tuple(map(region_of, masks[there]))
        kept = replace(self, lines=()).chosen(there)
        return replace(kept, height=masks.shape[1], width=masks.shape[2], regions=regions)


def of_stack(masks: Bits) -> ObjectMasks:
    """Return the objects of a bool array (objects, height, width); raises ValueError if one has no pixel."""
    _, height, width = masks.shape
    return ObjectMasks(height, width, tuple(map(region_of, masks)))


def of_numbers(numbers: NDArray[np.integer[Any]]) -> ObjectMasks:
    """Return the objects of an int array (height, width) in the order of their numbers; 0 is none."""
    names, dense = np.unique(numbers, return_inverse=True)
    dense = dense.reshape(numbers.shape) + (1 if names[0] > 0 else 0)  # 0 for none, also where there is no such pixel
    regions = tuple(
        Region(window[0].start, window[1].start, dense[window] == number)
        for number, window in enumerate(ndimage.find_objects(dense), start=1)
    )
    height, width = numbers.shape
    return ObjectMasks(height, width, regions)


def region_of(mask: Bits) -> Region:
    """Return a mask (height, width) without what is empty around it; raises ValueError if it has no pixel."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError("a mask without a pixel")
    top, left = int(rows[0]), int(columns[0])
    return Region(top, left, mask[top : rows[-1] + 1, left : columns[-1] + 1].copy())


def in_array(images: Iterable[ObjectMasks]) -> NDArray[np.object_]:
    """Return the objects of several images as an array (images,), from which metrics take those of some."""
    given = list(images)
    found = np.empty(len(given), dtype=object)
    found[:] = given
    return found
