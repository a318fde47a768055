"""Label maps without loss in as few bits as their classes need: 1 bit a pixel for binary masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.pairs import LARGEST_SIDE, Pixels
from flower_dgan.errors import DataError, ProtocolError

# Bounds on what a message may make the receiver allocate: 2**32 pixels are 65,536 label maps of 256 x 256.
MOST_MAPS = 1_000_000
MOST_PIXELS = 2**32
_PART = 2**20  # bytes that are unpacked at a time, so that nothing else is as large as the label maps


@dataclass(frozen=True, eq=False)
class PackedLabelMaps:
    """Label maps as they travel.

    Attributes
    ----------
    data : bytes
        One plane after the other, lowest bit first. A plane holds that bit of every pixel of all label maps (map by
        map, row by row), eight a byte from the highest bit down, and is filled up with zeros.
    shapes : int32 array (n, 2)
        Height and width of each label map in pixels.
    classes : int
        Number of classes, background included, 1 .. 256; a pixel takes ceil(log2(classes)) bits, none for one class.
    """

    data: bytes
    shapes: NDArray[np.int32]
    classes: int


def pack(label_maps: Sequence[Pixels], classes: int) -> PackedLabelMaps:
    """Pack label maps without loss.

    Parameters
    ----------
    label_maps : sequence of uint8 arrays (height, width)
        1 to 1,000,000 maps with sides from 1 to 32,767 pixels and values below ``classes``.
    classes : int
        Number of classes, 1 .. 256.

    Returns
    -------
    PackedLabelMaps
        The inverse is ``unpack``.

    Raises
    ------
    DataError
        If the label maps are out of these bounds.
    """
    shapes = np.array([label_map.shape for label_map in label_maps], dtype=np.int32).reshape(len(label_maps), 2)
    if problem := _problem(shapes, classes):
        raise DataError(f"Label maps cannot be packed: {problem}.")
    highest = max(_highest(label_map) for label_map in label_maps)
    if highest >= classes:
        raise DataError(f"Label maps cannot be packed: class {highest} of {classes} (0 .. {classes - 1}).")
    if classes == 1:  # as many pixels as one likes, none of which travels
        return PackedLabelMaps(b"", shapes, classes)
    planes = [_plane(label_maps, bit) for bit in range(_bits(classes))]
    return PackedLabelMaps(b"".join(planes), shapes, classes)


def _plane(label_maps: Sequence[Pixels], bit: int) -> bytes:
    """Pack one bit of each pixel, without a copy of all of them."""
    packed = bytearray()
    left = np.empty(0, np.uint8)  # less than a byte's worth of what came before
    for label_map in label_maps:
        left = np.concatenate([left, (label_map.ravel() >> bit) & 1])
        whole = len(left) - len(left) % 8
        packed += np.packbits(left[:whole]).tobytes()
        left = left[whole:]
    return bytes(packed + np.packbits(left).tobytes())


def unpack(packed: PackedLabelMaps) -> tuple[Pixels, ...]:
    """Unpack label maps that came over the wire.

    Parameters
    ----------
    packed : PackedLabelMaps
        Anything; it is checked before memory is taken.

    Returns
    -------
    tuple of uint8 arrays (height, width)
        Exactly what was packed; read-only where there is one class. They take at most 8 bytes for each byte that
        travelled as data, and about 20 for each byte of shapes.

    Raises
    ------
    ProtocolError
        If the shapes are absurd, the data do not fit them, fill-up bits are set, or a value is no class.
    """
    if problem := _problem(packed.shapes, packed.classes):
        raise ProtocolError(f"Packed label maps are refused: {problem}.")
    areas = packed.shapes.astype(np.int64).prod(axis=1)
    total, bits = int(areas.sum()), _bits(packed.classes)
    plane_bytes = -(-total // 8)
    if len(packed.data) != bits * plane_bytes:
        raise ProtocolError(
            f"Packed label maps are refused: {len(packed.data):,} bytes for {total:,} pixels of {bits} bits, "
            f"which take {bits * plane_bytes:,}."
        )
    if not bits:
        # No pixel travelled, so none takes memory here: a message of a few bytes must not cost gigabytes.
        zero = np.zeros(1, np.uint8)
        zero.flags.writeable = False
        return tuple(np.ndarray((height, width), np.uint8, zero, 0, (0, 0)) for height, width in packed.shapes)
    pixels = np.zeros(total, dtype=np.uint8)
    planes = np.frombuffer(packed.data, dtype=np.uint8).reshape(bits, plane_bytes)
    for bit, plane in enumerate(planes):
        # One content has one packing, or its hash would not name it.
        if total % 8 and plane[-1] & (0xFF >> total % 8):
            raise ProtocolError(f"Packed label maps are refused: fill-up bits of plane {bit} are set.")
        for start in range(0, plane_bytes, _PART):
            part = pixels[8 * start : 8 * (start + _PART)]
            part |= np.unpackbits(plane[start : start + _PART], count=len(part)) << np.uint8(bit)
    if pixels.max() >= packed.classes:
        raise ProtocolError(f"Packed label maps are refused: class {pixels.max()} of {packed.classes}.")
    ends = np.cumsum(areas)
    return tuple(
        pixels[end - area : end].reshape(shape) for end, area, shape in zip(ends, areas, packed.shapes, strict=True)
    )


def check_label_map_sizes(shapes: NDArray[np.integer[Any]], image_size: int) -> None:
    """Check that every window of a run fits into label maps; their sizes are what a node says.

    Parameters
    ----------
    shapes : int array (n, 2)
        Height and width of each label map in pixels.
    image_size : int
        Side of a window in pixels.

    Raises
    ------
    ProtocolError
        If there is no label map, or one has a side below ``image_size`` or above 32,767 pixels.
    """
    if not len(shapes):
        raise ProtocolError("There is no label map.")
    wrong = shapes[((shapes < image_size) | (shapes > LARGEST_SIDE)).any(axis=1)]
    if len(wrong):
        height, width = wrong[0].tolist()
        raise ProtocolError(
            f"{len(wrong):,} of {len(shapes):,} label maps have sides beyond {image_size} (data.image_size) to "
            f"{LARGEST_SIDE:,} pixels, the first of them {height} x {width}."
        )


def content_hash(packed: PackedLabelMaps) -> str:
    """Name packed label maps by their content.

    Parameters
    ----------
    packed : PackedLabelMaps
        Packed label maps.

    Returns
    -------
    str
        SHA-256 over classes, number, shapes and data, as 64 hexadecimal digits; the same on every machine.
    """
    head = f"{packed.classes} {len(packed.shapes)} ".encode()
    return sha256(head + packed.shapes.astype("<i4").tobytes() + packed.data).hexdigest()


def _highest(label_map: Pixels) -> int:
    """Return the highest class; of a blank label map that takes no memory, without a look at each pixel."""
    return int(label_map.flat[0] if label_map.strides == (0, 0) else label_map.max())


def _bits(classes: int) -> int:
    return (classes - 1).bit_length()


def _problem(shapes: NDArray[np.int32], classes: int) -> str | None:
    """Say what is wrong with shapes and classes, if anything."""
    if not 1 <= classes <= 256:
        return f"{classes} classes, not 1 .. 256"
    if shapes.dtype != np.int32 or shapes.ndim != 2 or shapes.shape[1] != 2:
        return f"shapes are {shapes.dtype} {shapes.shape}, not int32 (n, 2)"
    if not 1 <= len(shapes) <= MOST_MAPS:
        return f"{len(shapes):,} label maps, not 1 .. {MOST_MAPS:,}"
    if shapes.min() < 1 or shapes.max() > LARGEST_SIDE:
        return f"sides from {shapes.min()} to {shapes.max()} pixels, not 1 .. {LARGEST_SIDE:,}"
    if (total := int(shapes.astype(np.int64).prod(axis=1).sum())) > MOST_PIXELS:
        return f"{total:,} pixels, more than {MOST_PIXELS:,}"
    return None
