"""Files of data sets: images of any depth, colours as labels, and who belongs to whom."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.data.array_files import ARRAY_SUFFIX, open_numbers
from flower_dgan.data.colours import parse_colour
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.picture_checks import (
    IMAGE_MODES,
    OTHER_COLOURS,
    check_colours,
    check_numbers,
    check_pages,
    check_side,
    has_more_bands,
    is_transparent,
    raw_modes,
    transparent,
)
from flower_dgan.data.picture_files import opened
from flower_dgan.data.picture_windows import LoadedPicture, Windowed, row_blocks, whole
from flower_dgan.data.prepare.bands import open_bands
from flower_dgan.data.prepare.original import Samples
from flower_dgan.data.splits import some
from flower_dgan.data.text_files import same_name
from flower_dgan.errors import DataError


def find_folders(root: Path, names: Sequence[str], layout: str) -> list[Path]:
    """Return ``root/<name>`` for each name.

    Raises
    ------
    DataError
        If one is missing: says what is expected, what is there instead, and which folder inside has all of them.
    """
    if missing := [name for name in names if not (root / name).exists()]:
        inside = [path for path in visible(root.iterdir()) if path.is_dir()] if root.is_dir() else []
        nested = [path for path in inside if all((path / name).exists() for name in names)]
        there = (
            f" It holds {some(path.name for path in visible(root.iterdir())) or 'nothing'}." if root.is_dir() else ""
        )
        hint = f" {nested[0]} has all of them: give that folder." if nested else there
        raise DataError(f"{root.absolute()} has no {some(missing)}. Expected is {layout}{hint}")
    return [root / name for name in names]


def files_of(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files of a folder with this suffix by their names, whose accents are as ``same_name`` returns them.

    Raises
    ------
    DataError
        If there is none: says what is there instead, such as a folder of the same name, as archives that were unpacked
        into a folder for each have it.
    """
    found = {same_name(path.name): path for path in visible(folder.iterdir()) if path.suffix == suffix}
    if not found:
        there = some(path.name for path in visible(folder.iterdir())) or "nothing"
        raise DataError(f"{folder.absolute()} has no file *{suffix}, and holds {there}: move the files there.")
    return found


def visible(paths: Iterable[Path]) -> list[Path]:
    """Return paths in alphabetical order without hidden ones, such as the twins ``._name`` of macOS."""
    return sorted(path for path in paths if not path.name.startswith("."))


def match_stems(images: Mapping[str, Path], labels: Mapping[str, Path], kind: str) -> None:
    """Raise DataError if an image has no label of the same name, or a label no image."""
    for here, there, other in ((images, labels, kind), (labels, images, "image")):
        if alone := sorted(str(here[name]) for name in set(here) - set(there)):
            raise DataError(f"No {other} of the same name for {some(alone)}: add it, or remove the file.")


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Return files by stem, in alphabetical order; raises DataError if two have the same.

    Hidden ones do not count. Accents are as :func:`~flower_dgan.data.text_files.same_name` returns them.
    """
    found: dict[str, Path] = {}
    for path in sorted(visible(paths), key=lambda path: (same_name(str(path)), path)):
        stem = same_name(path.stem)
        if stem in found:
            raise DataError(f"{found[stem]} and {path} have one name: remove one of them.")
        found[stem] = path
    return found


def read_samples(path: Path) -> Samples:
    """Read an image with all its bits and channels, whole; as :func:`open_samples`."""
    samples: Samples = np.ascontiguousarray(whole(open_samples(path)))
    return samples


def open_samples(path: Path) -> Windowed:
    """Open an image with all its bits and channels: (height, width) or (height, width, channels).

    PNG, JPEG and TIFF with up to 8 bits a channel, and grey ones with 16, are read by Pillow; others, such as GeoTIFF
    with more bands, by rasterio; arrays by numpy. An alpha channel that is opaque throughout is dropped, another is a
    band in TIFF. All are turned as EXIF says, so that they lie as they are shown.

    Raises
    ------
    DataError
        If the file cannot be read, holds more than one frame or colours other than grey and RGB, or has a pixel that
        is not opaque (except in TIFF).
    ConfigError
        If it takes rasterio, which is not installed.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return open_numbers(path)
    try:
        with Image.open(path) as image:
            by_pillow = _suits_pillow(image)
    except Exception:  # Pillow's decoders raise almost anything on what they do not know.
        by_pillow = path.suffix.lower() not in (".tif", ".tiff")
    if not by_pillow:
        return open_bands(path)
    with opened(path) as image:
        check_side(image.height, image.width, path)
        check_pages(image, path)
        check_colours(image, path)
        check_numbers(image, path)
        if is_transparent(image):
            raise transparent(path, "on a background")
        wanted = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB"}.get(image.mode, image.mode)
        return LoadedPicture(image, wanted)


def _suits_pillow(image: Image.Image) -> bool:
    """Return whether Pillow is to read, or to refuse, an opened picture; otherwise it would lose bits or bands of it.

    In TIFF what is called transparency is as often a band of its own, such as near infrared, so that it is kept.
    """
    if image.mode.startswith("I;16") or image.mode in OTHER_COLOURS:
        return True
    deep = any("16" in mode or "32" in mode for mode in raw_modes(image))
    a_band = image.format == "TIFF" and (has_more_bands(image) or is_transparent(image))
    return image.mode in IMAGE_MODES and not deep and not a_band


def to_class_ids(colours: Windowed, palette: Sequence[str], nearest: bool, source: str) -> Pixels:
    """Turn colours into class ids.

    Parameters
    ----------
    colours : uint8 picture (height, width, 3)
        A picture of labels; fetched by windows.
    palette : sequence of str
        The colour of class 0, 1, ... as ``#rrggbb``.
    nearest : bool
        Whether other colours are taken for the nearest (Euclidean) of the palette.
    source : str
        What to call the picture in an error.

    Returns
    -------
    uint8 array (height, width)
        Class ids.

    Raises
    ------
    DataError
        If there are other colours, and ``nearest`` is not set.
    """
    known = np.array([parse_colour(text) for text in palette], dtype=np.int64)
    ids = np.empty(colours.shape[:2], np.uint8)
    for window in row_blocks(*ids.shape):
        ids[window] = _block_ids(colours[window], known, palette, nearest, source)
    return ids


def _block_ids(colours: Pixels, known: NDArray[np.int64], palette: Sequence[str], nearest: bool, source: str) -> Pixels:
    rgb = colours.astype(np.int64)
    codes, inverse = np.unique(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2], return_inverse=True)
    found = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    distances = ((found[:, None] - known[None]) ** 2).sum(-1)
    if not nearest and (distances.min(1) > 0).any():
        others = ["#" + bytes(colour).hex() for colour in found[distances.min(1) > 0].tolist()]
        raise DataError(
            f"{source} has the colours {some(others)}, and the classes {', '.join(palette)}: name all with --colour, "
            "or give --nearest-colour."
        )
    ids: Pixels = distances.argmin(1).astype(np.uint8)
    return ids[inverse].reshape(colours.shape[:2])
