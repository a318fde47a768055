"""Pairs as a data set's own files have them, before they become ``images/`` and ``masks/``."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.class_maps import Shape
from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.data.pairs import LARGEST_SIDE, Pixels
from flower_dgan.data.picture_windows import Windowed
from flower_dgan.data.text_files import same_name
from flower_dgan.errors import ConfigError

Samples = NDArray[np.unsignedinteger[Any] | np.floating[Any]]


@dataclass(frozen=True, eq=False)
class OriginalPair:
    """One image of a data set with what it is labelled with.

    Attributes
    ----------
    image : array, or picture fetched by windows, (height, width) or (height, width, channels)
        Of any number of channels, uint8 or not yet scaled to it.
    mask : uint8 array (height, width) or None
        Class ids; None for a data set without masks.
    instances : uint16 array (height, width) or None
        0 for the background, another number for each object; None where the data set does not tell them apart.
    highest : int or None
        The highest number that the image can hold, where that is less than its type can, as with 12 bits a channel.
    objects : ObjectMasks or None
        The objects whole, where they overlap; such a pair is written in its own size.
    """

    image: Windowed
    mask: Pixels | None
    instances: NDArray[np.uint16] | None = None
    highest: int | None = None
    objects: ObjectMasks | None = None


@dataclass(frozen=True)
class Original:
    """Where a pair, or a stack of them, comes from and how to read it.

    Attributes
    ----------
    source : str
        Its file under the data set's folder, and what of the file where there is more in it; unique.
    stem : str
        The name that the pair gets, without what is added for parts and tiles; unique.
    read : callable
        Returns the pairs, each with a name that tells it from the others of the stack, empty for a pair that is alone;
        raises DataError if the files cannot be used.
    """

    source: str
    stem: str
    read: Callable[[], Iterable[tuple[str, OriginalPair]]]


@dataclass(frozen=True)
class Found:
    """What there is of a data set in a folder.

    Attributes
    ----------
    originals : tuple of Original
        In a fixed order.
    classes : tuple of str
        What the class ids of its masks mean, background first; empty for a data set without masks.
    ids : bool
        Whether masks keep their class ids even if there are two: another part of the data may have more.
    category : str
        What objects that are kept whole are called in their annotation files.
    """

    originals: tuple[Original, ...]
    classes: tuple[str, ...]
    ids: bool = False
    category: str = "object"

    @property
    def binary(self) -> bool:
        """Whether masks are written as 0 and 255."""
        return len(self.classes) == 2 and not self.ids


@dataclass(frozen=True)
class PrepareSettings:
    """How pairs are written.

    Attributes
    ----------
    tile, stride : int or None
        Side of the square tiles that images are cut into, and pixels from one to the next; None for whole images.
    size : int or None
        Side of the square that is left of an image: what sticks out of its centred square is cut off, and the rest
        resized, with smoothing for images and without for masks. None for images as they are.
    value_range : (float, float) or None
        What becomes 0 and 255; None for uint8 as it is and the whole range of other types.
    bands : tuple of int
        Which channels of the images to take, from 1; empty for all.
    modalities : tuple of str
        Of ``brats``: which become the channels of the images, in this order.
    layers : tuple of str
        Of ``monuseg`` and ``kumar``: the names or numbers of the layers of annotations that hold objects; empty where
        each file has one.
    only_labelled : bool
        Whether pairs whose mask is all background are left out.
    skip_unreadable : bool
        Whether a pair that cannot be read is left out and listed, rather than an error.
    instances : bool
        Whether the masks of ``folder`` and ``asyndgan-hdf5`` hold a number for each object, rather than classes.
    palette : tuple of str
        Of ``folder``: the colours of class 0, 1, ... as ``#rrggbb``, where masks are in colours.
    nearest_colour : bool
        Whether a colour that is in no palette becomes the nearest that is, rather than an error.
    stain_reference : str or None
        Image file whose colours all images get, see ``stain``; None to leave colours as they are.
    masks : {"classes", "binary"} or None
        Of ``folder``: what the values of masks say, where they leave it open; ``instances`` says the third.
    class_maps : {"long", "round"} or None
        Of data sets with objects: whether masks are class maps drawn from them, see :mod:`flower_dgan.data.class_maps`.

    Raises
    ------
    ConfigError
        If a number is out of range, or settings contradict each other.
    """

    tile: int | None = None
    stride: int | None = None
    size: int | None = None
    value_range: tuple[float, float] | None = None
    bands: tuple[int, ...] = ()
    modalities: tuple[str, ...] = ("t2",)
    layers: tuple[str, ...] = ()
    only_labelled: bool = False
    skip_unreadable: bool = False
    instances: bool = False
    palette: tuple[str, ...] = ()
    nearest_colour: bool = False
    stain_reference: str | None = None
    masks: Literal["classes", "binary"] | None = None
    class_maps: Shape | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, number in (("tile", self.tile), ("stride", self.stride), ("size", self.size)):
            if number is not None and not 1 <= number <= LARGEST_SIDE:
                raise ConfigError(f"--{name} {number} must be from 1 to {LARGEST_SIDE:,} pixels.")
        if self.stride is not None and self.tile is None:
            raise ConfigError("--stride is the way from one tile to the next: give --tile too.")
        if self.size is not None and self.tile is not None:
            raise ConfigError("--size and --tile are both given: leave one of them out.")
        if self.palette and self.instances:
            raise ConfigError("--colour and --instances are both given: masks hold one or the other.")
        if len(self.palette) == 1:
            raise ConfigError("--colour names one colour: give that of the background, then that of each class.")
        if len({colour.lower() for colour in self.palette}) < len(self.palette):
            raise ConfigError("--colour names one colour twice: give each class a colour of its own.")
        if self.bands and min(self.bands) < 1:
            raise ConfigError(f"--band {min(self.bands)}: channels are counted from 1.")
        if self.value_range is not None and not all(map(isfinite, self.value_range)):
            raise ConfigError(f"--range {self.value_range[0]:g} {self.value_range[1]:g}: both must be finite.")
        if self.value_range is not None and self.value_range[1] - self.value_range[0] == inf:
            raise ConfigError(
                f"--range {self.value_range[0]:g} {self.value_range[1]:g}: they are too far apart to tell anything "
                "between them."
            )
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ConfigError(f"--range {self.value_range[0]:g} {self.value_range[1]:g} is empty: give low and high.")


def name_pair(split: Literal["tr", "te"] | None, site: str, group: str, part: str) -> str:
    """Name a pair so that the name says where it comes from.

    Parameters
    ----------
    split : {"tr", "te"} or None
        As the data set has it; None where it does not divide itself.
    site, group, part : str
        Hospital, city or organ; patient or scene; and what of that.

    Returns
    -------
    str
        Such as ``tr_breast_A7-A13E_0``: underscores only between the four, all but letters, digits, dots and dashes
        replaced by dashes.
    """
    words = [re.sub(r"[^A-Za-z0-9.-]+", "-", same_name(word)) for word in (site, group, part)]
    return "_".join([split, *words] if split else words)
