"""Pictures as they are shown: cameras store the pixels as the sensor lay, and beside them how they are to be turned.

The note is EXIF's "orientation", from 1 (as it is stored) to 8, which JPEG, PNG, WebP and TIFF may have. Whoever draws
a mask sees the picture turned, so that pixels which are read as they are stored lie under another mask.
"""

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

AS_STORED = 1
_TURNED = range(2, 9)
_XMP = 700
# Those that make rows of columns.
_ON_ITS_SIDE = (5, 6, 7, 8)
# Where the first row and the first column of what is stored, or of that on its side, are to be.
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


def orientation(image: Image.Image) -> int:
    """Return the orientation of an opened image, 1 to 8, also where there is none or it makes no sense: 1.

    A PNG file may say it after its pixels, which are read for it.
    """
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, AS_STORED)
    except (SyntaxError, ValueError, struct.error):  # damaged: viewers show such a picture as it is stored
        return AS_STORED
    return found if found in _TURNED else AS_STORED


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return height and width in pixels of an opened image as it is shown, from its header if that is enough."""
    # Pillow says the size of a TIFF file as it is shown, where a tag turns it and not XMP; that of a square is known.
    tagged = ExifTags.Base.Orientation in getattr(image, "tag_v2", ())
    on_its_side = not tagged and image.width != image.height and orientation(image) in _ON_ITS_SIDE
    return (image.width, image.height) if on_its_side else (image.height, image.width)


def shown_shape(height: int, width: int, stored: int) -> tuple[int, int]:
    """Return height and width as a picture is shown whose pixels are stored in this orientation, 1 to 8."""
    return (width, height) if stored in _ON_ITS_SIDE else (height, width)


def upright_array(pixels: NDArray[Any], stored: int) -> NDArray[Any]:
    """Turn an array (height, width, ...) of this orientation, 1 to 8, as a picture is shown."""
    if stored in _ON_ITS_SIDE:
        pixels = pixels.swapaxes(0, 1)
    down, right = _STEPS.get(stored, (1, 1))
    return pixels[::down, ::right]


def stored_window(window: tuple[slice, slice], shape: tuple[int, ...], stored: int) -> tuple[slice, slice]:
    """Return where a window lies in the pixels as they are stored.

    Parameters
    ----------
    window : (slice, slice)
        Rows and columns of the picture as it is shown, each with its start and stop.
    shape : tuple of int
        Height and width of the picture as it is shown, and maybe more.
    stored : int
        Its orientation, 1 to 8.
    """
    down, right = _STEPS.get(stored, (1, 1))
    steps = zip(window, shape, (down, right), strict=False)
    rows, columns = (part if step > 0 else slice(side - part.stop, side - part.start) for part, side, step in steps)
    return (columns, rows) if stored in _ON_ITS_SIDE else (rows, columns)


def tiff_tags(path: Path) -> Mapping[int, Any]:
    """Return the tags of the first page of a TIFF file by their numbers, also of one that Pillow cannot open."""
    with path.open("rb") as file:
        header = file.read(8)
        # BigTIFF
        header += file.read(8) if header[2:3] == b"\x2b" or header[3:4] == b"\x2b" else b""
        directory = ImageFileDirectory_v2(header)
        file.seek(directory.next)
        directory.load(file)
    return directory


def tiff_orientation(tags: Mapping[int, Any]) -> int:
    """Return the orientation, 1 to 8, of a TIFF file with these tags; without its own tag as XMP says, as in Pillow."""
    said = re.search(rb'tiff:Orientation(?:="|>)([0-9])', tags.get(_XMP, b""))
    found = tags.get(ExifTags.Base.Orientation, int(said[1]) if said else AS_STORED)
    return found if found in _TURNED else AS_STORED
