"""Image and mask files: which there are, and their pixels without loss."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.config.data_settings import PICTURED
from flower_dgan.data.array_files import ARRAY_SUFFIX, open_array
from flower_dgan.data.mask_palettes import check_levels
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.picture_checks import IMAGE_MODES, MASK_MODES, check_picture, levels_of
from flower_dgan.data.picture_files import opened
from flower_dgan.data.picture_windows import LoadedPicture, Windowed, whole
from flower_dgan.data.text_files import same_name
from flower_dgan.data.upright import AS_STORED, orientation, shown_size
from flower_dgan.errors import DataError
from flower_dgan.printable import misleads, printable
from flower_dgan.whole_file import no_file

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
IMAGE_SUFFIXES = (*SUFFIXES, ARRAY_SUFFIX)


def list_files(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, list[Path]]:
    """List the files of a folder; hidden ones and other suffixes do not count.

    Parameters
    ----------
    folder : Path
        An existing folder.
    suffixes : tuple of str
        In small letters; those of pictures if nothing is said.

    Returns
    -------
    dict of str to list of Path
        By stem, its accents as :func:`~flower_dgan.data.text_files.same_name` returns them, in alphabetical order; more
        than one file of a stem is a mistake, see :func:`double_stems`.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (same_name(path.name), path.name)):
        if not path.name.startswith(".") and path.suffix.lower() in suffixes and path.is_file():
            found.setdefault(same_name(path.stem), []).append(path)
    return found


def no_files(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, str]:
    """Say of what is called as the files of a folder and is none what it is, and what to do.

    Returns
    -------
    dict of str to str
        One sentence each, by stem as :func:`list_files` has them: for folders, named pipes, sockets, devices, and links
        that lead to nothing.
    """
    said = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes or path.is_file():
            continue
        shown = printable(str(path), None)
        kind = no_file(path)
        what = f"is {kind} and no file" if kind else "is a link that leads to no file"
        to_do = "remove the link" if kind is None else "rename it" if path.is_dir() else "remove it"
        said[same_name(path.stem)] = f"{shown} {what}: put the file there, or {to_do}."
    return said


def list_images(folder: Path) -> dict[str, list[Path]]:
    """List the images of a folder, arrays among them; as :func:`list_files`."""
    return list_files(folder, IMAGE_SUFFIXES)


def unread_pictures(folder: Path) -> list[Path]:
    """List what Pillow knows by its suffix but :func:`list_images` leaves out, such as BMP, in alphabetical order."""
    others = {*Image.registered_extensions()} - {*IMAGE_SUFFIXES}
    return [path for paths in list_files(folder, tuple(others)).values() for path in paths]


def sound_files(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, Path]:
    """List the files of a folder, one a stem; as :func:`list_files`.

    Pictures of formats that are not read are named in the log.

    Raises
    ------
    DataError
        If two have the same stem, a name cannot be shown, or something is called as such a file and is none.
    """
    files = list_files(folder, suffixes)
    for problem in (*no_files(folder, suffixes).values(), *misnamed(files).values(), *double_stems(files)):
        raise DataError(problem)
    if others := unread_pictures(folder):
        more = f" and {len(others) - 1:,} more pictures in {folder.name} are" if len(others) > 1 else " is"
        logger.warning("%s%s of a format that is not read: save as PNG what belongs to the data.", others[0], more)
    return {stem: path for stem, (path,) in files.items()}


def double_stems(files: Mapping[str, Sequence[Path]]) -> list[str]:
    """Say, for each stem that more than one file has, what to do."""
    return [
        f"{paths[0].parent} holds both {paths[0].name} and {paths[1].name}: rename or remove one."
        + (
            " They look the same, but a letter with its accent is one character in one and two in the other."
            if paths[0].stem != paths[1].stem
            else ""
        )
        for paths in files.values()
        if len(paths) > 1
    ]


def misnamed(files: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """Say, for each stem that no message and no report could name, what to do."""
    return {
        stem: f"{path.parent} holds '{printable(path.name)}', whose name is no UTF-8 or has control characters, shown "
        "here with backslashes: rename the file."
        for stem, (path, *_) in files.items()
        if misleads(path.name)
    }


def read_size(path: Path, modes: tuple[str, ...]) -> tuple[int, int]:
    """Read the size of a file from its header, as the picture is shown: EXIF may turn it.

    Parameters
    ----------
    path : Path
        PNG, JPEG or TIFF, of one frame.
    modes : tuple of str
        The modes of Pillow that are accepted.

    Returns
    -------
    height, width : int
        In pixels.

    Raises
    ------
    DataError
        If the file cannot be read, or holds something that a conversion would spoil.
    """
    with opened(path) as image:
        check_picture(image, path, modes)
        return shown_size(image)


def read_image_size(path: Path, channels: int) -> tuple[int, int]:
    """Read height and width of an image from its header; raises DataError as :func:`read_image` does."""
    if path.suffix.lower() == ARRAY_SUFFIX:
        height, width, _ = open_array(path, channels).shape
        return height, width
    _check_pictured(path, channels)
    return read_size(path, IMAGE_MODES)


def read_image(path: Path, channels: int) -> Pixels:
    """Read an image as uint8 (height, width, channels); colours become grey for one.

    It is turned as EXIF says, so that it lies as it is shown.

    Raises
    ------
    DataError
        If the file cannot be read, does not hold so many channels, or has a pixel that is not opaque.
    """
    pixels: Pixels = np.array(whole(open_image(path, channels)), order="C")
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def own_channels(path: Path, channels: int) -> int:
    """Return how many channels a picture has, 1 for grey; for an array, which is read as it is, ``channels``."""
    if path.suffix.lower() == ARRAY_SUFFIX:
        return channels
    with opened(path) as image:
        return 1 if image.mode in ("1", "L", "LA") else 3


def open_image(path: Path, channels: int) -> Windowed:
    """Open an image as :func:`read_image` reads it, to be fetched by windows; (height, width) for one channel."""
    if path.suffix.lower() == ARRAY_SUFFIX:
        return open_array(path, channels)
    _check_pictured(path, channels)
    with opened(path) as image:
        check_picture(image, path, IMAGE_MODES)
        return LoadedPicture(image, "L" if channels == 1 else "RGB")


def read_mask(path: Path) -> NDArray[np.integer[Any]]:
    """Read a mask's own values as (height, width): palette indices, grey levels, or 0/255 for one bit.

    Grey levels of 2 and 4 bits are 0 to 3 and 0 to 15 as they are stored; in a mask of black and white alone they are
    0 and 255. It is turned as EXIF says, as an image is.

    Raises
    ------
    DataError
        If the file cannot be read, has an alpha channel in which a pixel is not opaque, or a palette of grey levels
        in another order than its indices.
    """
    with opened(path) as image:
        check_picture(image, path, MASK_MODES)
        step = 255 // (levels_of(image) - 1)
        values = whole(LoadedPicture(image, "L" if image.mode == "1" else image.mode))
        values = np.ascontiguousarray(values if values.ndim == 2 else values[..., 0])  # the second is opaque alpha
        if image.mode in ("P", "PA"):
            check_levels(image, np.flatnonzero(np.bincount(values.ravel())).tolist(), path)
    return values if step == 1 or np.isin(values, (0, 255)).all() else values // step


def turned_by_exif(paths: Iterable[Path]) -> str:
    """Return a sentence about those of some pictures that EXIF turns, for a message; empty if there are none."""
    turned = []
    for path in paths:
        if path.suffix.lower() != ARRAY_SUFFIX:
            with opened(path) as image:
                if (found := orientation(image)) != AS_STORED:
                    turned.append(f"{path.parent.name}/{path.name} (orientation {found})")
    return f" EXIF turns {', '.join(turned)}: sizes are those of pictures as they are shown." if turned else ""


def _check_pictured(path: Path, channels: int) -> None:
    if channels not in PICTURED:
        raise DataError(
            f"{path} holds grey or RGB, and data.channels={channels}: save it as .npy, uint8 (height, width, "
            f"{channels}), or set data.channels=1 or 3."
        )
