"""Pairs of image and label map, and the sources that they are read from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.object_masks import ObjectMasks

Pixels = NDArray[np.uint8]

# Height and width at most: windows travel as 16-bit offsets.
LARGEST_SIDE = 32_767


@dataclass(frozen=True, slots=True)
class Entry:
    """One pair of a source, before its pixels are read.

    Attributes
    ----------
    name : str
        File stem or running number; unique in the source.
    site : str
        Where the pair comes from; the natural partition.
    group : str
        What must stay on one side of a split: a patient, a scene.
    label : int
        Class of the whole image, -1 where there is none.
    height, width : int
        Size in pixels.
    """

    name: str
    site: str
    group: str
    label: int
    height: int
    width: int


@dataclass(frozen=True)
class Pairs:
    """Images with their label maps, in memory.

    Attributes
    ----------
    images : tuple of uint8 arrays (height, width, channels)
        Grey images have one channel.
    label_maps : tuple of uint8 arrays (height, width)
        Class ids 0 .. ``classes`` - 1; 0 is the background.
    classes : int
        Number of classes, background included.
    instances : tuple of int arrays (height, width) or None
        The number of the object of each pixel, 0 for none; None where they are not known or not asked for.
    objects : tuple of ObjectMasks or None
        The objects of each pair whole, so that they may overlap; None where they are not known or not asked for.
    """

    images: tuple[Pixels, ...]
    label_maps: tuple[Pixels, ...]
    classes: int
    instances: tuple[NDArray[np.integer[Any]], ...] | None = None
    objects: tuple[ObjectMasks, ...] | None = None

    def __post_init__(self) -> None:
        """Check that images and label maps fit each other."""
        if len(self.images) != len(self.label_maps):
            raise ValueError(f"{len(self.images)} images but {len(self.label_maps)} label maps")
        for image, label_map in zip(self.images, self.label_maps, strict=True):
            if image.ndim != 3 or label_map.ndim != 2 or image.shape[:2] != label_map.shape:
                raise ValueError(f"an image of shape {image.shape} with a label map of shape {label_map.shape}")
        if self.instances is not None and [ids.shape for ids in self.instances] != [m.shape for m in self.label_maps]:
            raise ValueError("instances that do not have the shapes of the label maps")
        sizes = None if self.objects is None else [(each.height, each.width) for each in self.objects]
        if sizes is not None and sizes != [label_map.shape for label_map in self.label_maps]:
            raise ValueError("objects that are not of images of the sizes of the label maps")

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.images)


class Source(Protocol):
    """A collection of pairs with a training and a test split, read when asked.

    Attributes
    ----------
    classes : int
        Number of classes of the label maps, background included.
    image_classes : int
        Number of classes of whole images, which their entries have as label; 0 where they have none.
    train, test : sequence of Entry
        The two splits; no group is in both.
    """

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        ...

    @property
    def image_classes(self) -> int:
        """Return the number of classes of whole images."""
        ...

    @property
    def train(self) -> Sequence[Entry]:
        """Return the training split."""
        ...

    @property
    def test(self) -> Sequence[Entry]:
        """Return the held-out split."""
        ...

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Read the pixels of the given entries."""
        ...


def own_images(source: Source, entries: Sequence[Entry]) -> Iterator[Pixels]:
    """Yield the image of each entry as its file holds it: channels, sizes and targets of a training change nothing.

    A source that has no such method shows its images as it loads them, one after the other.
    """
    if (method := getattr(source, "own_images", None)) is not None:
        yield from method(entries)
        return
    for entry in entries:
        yield from source.load([entry]).images
