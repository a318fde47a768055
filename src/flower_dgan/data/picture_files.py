"""Picture files opened by Pillow: which formats are read, how large they may be, one error for whatever is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from flower_dgan.data.pairs import LARGEST_SIDE
from flower_dgan.errors import DataError

FORMATS = ("PNG", "JPEG", "TIFF")

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
        file = path.open("rb") if content is None else BytesIO(content)
        with file, Image.open(file, formats=formats) as image:
            yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read as {names} (it holds {_found(path, content)}): {to_do}.") from error
    except Exception as error:  # Pillow's decoders raise almost anything on corrupt bytes.
        raise DataError(f"{path} cannot be read as {names} ({error}): {to_do}.") from error


def _found(path: Path, content: bytes | None) -> str:
    """Return what a file holds that is called by another suffix."""
    try:
        with Image.open(path if content is None else BytesIO(content)) as image:
            return str(image.format)
    except Exception:  # Pillow's decoders raise almost anything on what they do not know.
        return "something else"
