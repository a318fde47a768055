"""What a picture may hold so that its pixels are read without loss: kinds of pixels, transparency, bands and pages."""

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import COMPRESSION, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, SAMPLESPERPIXEL

from flower_dgan.data.pairs import LARGEST_SIDE
from flower_dgan.data.picture_windows import LoadedPicture, row_blocks
from flower_dgan.errors import DataError

# What has more than 8 bits a channel would be clipped or cut off by a conversion.
IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
MASK_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "I;16L")

# Conversions of these to RGB depend on a profile or on taste.
OTHER_COLOURS = ("CMYK", "HSV", "LAB", "YCbCr")
_WHITE_IS_ZERO, _SIGNED = 0, 2
# The codes of fax machines, in which 0 is white.
_OF_FAX = (2, 3, 4)
_SUBFILE_TYPE, _DEPTH = 254, 32997
_REDUCED_OR_MASK = 0b101
# Of JPEG with others behind it, after CIPA DC-007: its table of the pictures.
_PICTURES = 0xB002


def check_picture(image: Image.Image, path: Path, modes: tuple[str, ...]) -> None:
    """Raise DataError unless an opened picture can be read without loss.

    Parameters
    ----------
    image : Image
        Just opened. Its pixels are read only where it may be transparent.
    path : Path
        Its file, for messages.
    modes : tuple of str
        ``IMAGE_MODES`` or ``MASK_MODES``.
    """
    raw = raw_modes(image)
    cut = modes == IMAGE_MODES and any("16" in name for name in raw)
    if image.mode not in modes or cut:
        wanted = (
            "8-bit grey or RGB" if modes == IMAGE_MODES else "grey or palette PNG with 0 and 255, or with class ids"
        )
        kind = f"16 bits a channel ({raw[0]})" if cut else f"mode {image.mode}"
        raise DataError(f"{path} has {kind}, which would be clipped or mixed up: save it as {wanted}.")
    check_pages(image, path)
    check_numbers(image, path)
    if has_more_bands(image):
        raise DataError(
            f"{path} has {bands_of(image)} bands, some of which would be lost: flower-dgan data prepare folder reads "
            "them all, or those of --band."
        )
    check_side(image.height, image.width, path)
    # The index or the grey level of a mask's pixel is there whether a palette shows it or not.
    if (modes == IMAGE_MODES or image.mode in ("LA", "PA")) and is_transparent(image):
        raise transparent(path, "each pixel with the value of its class" if modes == MASK_MODES else "on a background")


def check_side(height: int, width: int, path: Path) -> None:
    """Raise DataError if a picture is larger than any that is read."""
    if max(height, width) > LARGEST_SIDE:
        raise DataError(f"{path} is {height} x {width} pixels: cut it into tiles of {LARGEST_SIDE} at most.")


def check_colours(image: Image.Image, path: Path) -> None:
    """Raise DataError if an opened picture has colours that are neither grey nor RGB nor of a palette."""
    if image.mode in OTHER_COLOURS:
        raise DataError(f"{path} has colours of the kind {image.mode}, which is not read: save it as grey or RGB.")


def check_numbers(image: Image.Image, path: Path) -> None:
    """Raise DataError if Pillow would not read the numbers of a TIFF file as it means them."""
    tags = getattr(image, "tag_v2", {})
    reverse = tags.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
    if reverse and image.mode.startswith(("I", "F")):
        raise DataError(f"{path} has more than 8 bits in which 0 is white: save it so that 0 is black.")
    if reverse and image.mode == "1" and tags.get(COMPRESSION) not in _OF_FAX:
        raise DataError(
            f"{path} has one bit a pixel in which 0 is white, so that False is shown white, as tifffile writes them if "
            "nothing is said: save it as PNG, or so that 0 is black."
        )
    if image.mode == "L" and _SIGNED in tags.get(SAMPLEFORMAT, ()):
        raise DataError(f"{path} has signed numbers of 8 bits, which would be mixed up: save it without signs.")


def transparent(path: Path, how: str) -> DataError:
    """Return the error for a picture with transparent pixels and how to save it."""
    return DataError(
        f"{path} has transparent pixels, and what is stored there is not what is seen: save it without transparency, "
        f"{how}."
    )


def is_transparent(image: Image.Image) -> bool:
    """Return whether any pixel of an opened picture is not opaque; reads the pixels if it has any transparency."""
    if not image.has_transparency_data:
        return False
    if image.mode.startswith("I"):
        return bool((np.asarray(image) == image.info["transparency"]).any())
    picture = LoadedPicture(image, "RGBA")
    return any((picture[window][..., 3] != 255).any() for window in row_blocks(*picture.shape[:2]))


def bands_of(image: Image.Image) -> int:
    """Return how many bands the file of an opened picture has, of which Pillow may leave some away in TIFF."""
    directory = getattr(image, "tag_v2", {})
    return int(max(directory.get(SAMPLESPERPIXEL, 1), len(image.getbands())))


def has_more_bands(image: Image.Image) -> bool:
    """Return whether the file of an opened picture has bands that Pillow leaves away."""
    return bands_of(image) > len(image.getbands())


def check_pages(image: Image.Image, path: Path) -> None:
    """Raise DataError if a file holds more pictures than one; smaller copies and masks of it are none."""
    count = getattr(image, "n_frames", 1) if image.format in ("TIFF", "PNG", "MPO") else 1
    if (depth := getattr(image, "tag_v2", {}).get(_DEPTH, 1)) > 1:
        raise DataError(f"{path} holds a volume of {depth} slices: save each slice as a file of its own.")
    if count > 1 and image.format == "TIFF":
        whole = 0
        for page in range(count):
            image.seek(page)
            whole += not image.tag_v2.get(_SUBFILE_TYPE, 0) & _REDUCED_OR_MASK  # type: ignore[attr-defined]
        image.seek(0)
        count = whole
    if count > 1 and image.format == "MPO":
        count = 1 + sum(_is_another_view(image, frame) for frame in range(1, count))
    if count > 1:
        raise DataError(f"{path} holds more than one frame: save each frame as a file of its own.")


def _is_another_view(image: Image.Image, frame: int) -> bool:
    """Return whether what is behind the first picture of a JPEG file shows as much, as a stereo camera's other eye.

    Telephones put previews and maps of brightness or depth there, which are smaller, and other programs cut them off.
    """
    try:
        # Opened once more, as Pillow forgets on the way how the first one is to be turned.
        with Image.open(image.fp) as again:  # type: ignore[attr-defined]
            again.seek(frame)
            kind = str(image.mpinfo[_PICTURES][frame]["Attribute"]["MPType"])  # type: ignore[attr-defined]
            return again.size == image.size or kind.startswith("Multi-Frame")
    except (ValueError, SyntaxError, OSError):  # nothing is there, or no picture
        return False


def levels_of(image: Image.Image) -> int:
    """Return how many levels of grey an opened picture of mode L has, which Pillow spreads to 0 .. 255; else 256."""
    for raw in raw_modes(image):
        for name, levels in (("L;2", 4), ("L;4", 16)):
            if image.mode == "L" and raw.startswith(name):
                return levels
    return 256


def raw_modes(image: Image.Image) -> list[str]:
    """Return the modes of a file's own pixels: they tell 16 bits a channel, which Pillow may cut to 8."""
    tiles = getattr(image, "tile", [])
    return [str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]) for tile in tiles]
