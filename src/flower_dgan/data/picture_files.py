"""Picture files opened by Pillow: which formats are read, how large they may be, one error for whatever is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from flower_dgan.data.pairs import LARGEST_SIDE
from flower_dgan.errors import DataError, reason_of
from flower_dgan.whole_file import require_file

FORMATS = ("PNG", "JPEG", "TIFF")
_OF_JPEG = ("JPEG", "MPO")
# Of JPEG: where the pixels begin, and where they end.
_PIXELS, _END = b"\xda", b"\xff\xd9"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Pillow protects servers from pictures of strangers. These are the user's own: aerial pictures have 200 million pixels
# and more, and editors write megabytes of history and colour profiles into PNG, whose pixels are sound.
Image.MAX_IMAGE_PIXELS = LARGEST_SIDE**2
PngImagePlugin.MAX_TEXT_CHUNK = 2**26
PngImagePlugin.MAX_TEXT_MEMORY = 2**28


@contextmanager
def opened(
    path: Path, formats: tuple[str, ...] = FORMATS, content: bytes | None = None, what_to_do: str = ""
) -> Iterator[Image.Image]:
    """Open a picture; raises DataError for whatever Pillow says of it, also in the body.

    Parameters
    ----------
    path : Path
        Its file, or what to call it where its content is given.
    formats : tuple of str
        Those that are read, as Pillow calls them.
    content : bytes or None
        What it holds, where it is in no file of its own.
    what_to_do : str
        The end of the message of an error; for a pair of image and mask if nothing is said.
    """
    to_do = what_to_do or "replace it, or remove image and mask"
    *most, last = formats
    names = f"{', '.join(most)} or {last}"
    try:
        # Not by its path: Pillow would map an uncompressed TIFF file that is turned with its sides mixed up.
        file = require_file(path).open("rb") if content is None else BytesIO(content)
        with file, Image.open(file, formats=formats) as image:
            if image.format in _OF_JPEG:
                _require_end(file)
            yield image
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Let this user read it.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read as {names} (it holds {_found(path, content)}): {to_do}.") from error
    except Exception as error:  # Pillow's decoders raise almost anything on corrupt bytes.
        raise DataError(f"{path} cannot be read as {names} ({reason_of(error)}): {to_do}.") from error


def _require_end(file: BinaryIO) -> None:
    """Raise ValueError unless the end of a JPEG picture is there; leaves the file where it was.

    Decoders fill what is missing with grey and go on, as after a power cut that left zeros, or a broken download.
    """
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    start = 2
    # To where the pixels begin: what is before may hold a picture in small, with an end of its own.
    while content[start : start + 1] == b"\xff" and content[start + 1 : start + 2] != _PIXELS:
        padding = content[start + 1 : start + 2] == b"\xff"
        start += 1 if padding else 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    if content.find(_END, start) < 0:
        raise ValueError("its end is missing, as it was cut off or not written whole")


def _found(path: Path, content: bytes | None) -> str:
    """Return what a file holds that is called by another suffix."""
    try:
        with Image.open(path if content is None else BytesIO(content)) as image:
            return str(image.format)
    except Exception:  # Pillow's decoders raise almost anything on what they do not know.
        if content is None and holds_tiff(path):
            return "TIFF of numbers that Pillow does not read"
        return "something else" if content or path.stat().st_size else "nothing"


def holds_tiff(path: Path) -> bool:
    """Return whether a file begins as TIFF does, whatever its suffix says."""
    with path.open("rb") as file:
        return file.read(4) in _TIFF
