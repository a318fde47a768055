"""Files of data sets: images of any depth, colours as labels, and who belongs to whom."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flower_dgan.data.colours import parse_colour
from flower_dgan.data.image_files import opened
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.picture_checks import (
    IMAGE_MODES,
    check_pages,
    has_more_bands,
    is_transparent,
    raw_modes,
    transparent,
)
from flower_dgan.data.prepare.original import Samples
from flower_dgan.data.splits import some
from flower_dgan.data.text_files import same_name
from flower_dgan.data.upright import orientation, tiff_orientation, upright, upright_array
from flower_dgan.errors import ConfigError, DataError


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional extra; raises ConfigError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs {module}, which is not installed: pip install 'flower-dgan[{extra}]'."
        ) from error


def find_folders(root: Path, names: Sequence[str], layout: str) -> list[Path]:
    """Return ``root/<name>`` for each name; raises DataError with the layout that is expected if one is missing."""
    if missing := [name for name in names if not (root / name).exists()]:
        raise DataError(f"{root.absolute()} has no {some(missing)}. Expected is {layout}")
    return [root / name for name in names]


def match_stems(images: Mapping[str, Path], labels: Mapping[str, Path], kind: str) -> None:
    """Raise DataError if an image has no label of the same name, or a label no image."""
    for here, there, other in ((images, labels, kind), (labels, images, "image")):
        if alone := sorted(str(here[name]) for name in set(here) - set(there)):
            raise DataError(f"No {other} of the same name for {some(alone)}: add it, or remove the file.")


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Return files by stem, in alphabetical order; raises DataError if two have the same.

    Hidden ones do not count, such as the twins ``._name`` of macOS. Accents are as
    :func:`~flower_dgan.data.text_files.same_name` returns them.
    """
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: (same_name(str(path)), path)):
        if path.name.startswith("."):
            continue
        stem = same_name(path.stem)
        if stem in found:
            raise DataError(f"{found[stem]} and {path} have one name: remove one of them.")
        found[stem] = path
    return found


def read_samples(path: Path) -> Samples:
    """Read an image with all its bits and channels: (height, width) or (height, width, channels).

    PNG, JPEG and TIFF with up to 8 bits a channel, and grey ones with 16, are read by Pillow; others, such as GeoTIFF
    with more bands, by rasterio. An alpha channel that is opaque throughout is dropped, another is a
    band in TIFF. All are turned as EXIF says, so that they lie as they are shown.

    Raises
    ------
    DataError
        If the file cannot be read, holds more than one frame, or has a pixel that is not opaque (except in TIFF).
    ConfigError
        If it takes rasterio, which is not installed.
    """
    try:
        with Image.open(path) as image:
            by_pillow = _suits_pillow(image)
    except Exception:  # Pillow's decoders raise almost anything on what they do not know.
        by_pillow = path.suffix.lower() not in (".tif", ".tiff")
    if by_pillow:
        with opened(path) as image:
            check_pages(image, path)
            if is_transparent(image):
                raise transparent(path, "on a background")
            wanted = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB"}.get(image.mode, image.mode)
            shown = upright(image)
            return np.asarray(shown if wanted == shown.mode else shown.convert(wanted))
    return _read_bands(path)


def _suits_pillow(image: Image.Image) -> bool:
    """Return whether Pillow reads an opened picture with all its bits and bands.

    In TIFF what is called transparency is as often a band of its own, such as near infrared, so that it is kept.
    """
    if image.mode.startswith("I;16"):
        return True
    deep = any("16" in mode or "32" in mode for mode in raw_modes(image))
    a_band = image.format == "TIFF" and (has_more_bands(image) or is_transparent(image))
    return image.mode in IMAGE_MODES and not deep and not a_band


def _read_bands(path: Path) -> Samples:
    """Read all bands with rasterio; an alpha channel that says nothing is left out."""
    rasterio = require("rasterio", "geo", f"{path}, of more than 8 bits or 3 channels,")
    try:
        with rasterio.open(path) as data:
            if data.subdatasets:
                raise DataError(f"{path} holds more than one frame: save each frame as a file of its own.")
            bands: Samples = data.read()
            alpha = [index for index, kind in enumerate(data.colorinterp) if kind.name == "alpha"]
            driver = data.driver
        stored = tiff_orientation(path) if driver == "GTiff" else _orientation(path)
    except (rasterio.errors.RasterioError, SyntaxError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    for band in alpha:
        if bands.dtype.kind == "u" and (bands[band] == 2 ** (8 * bands.dtype.itemsize) - 1).all():
            bands = np.delete(bands, band, axis=0)
        elif driver != "GTiff":
            raise transparent(path, "on a background")
    return upright_array(bands.transpose(1, 2, 0), stored)


def _orientation(path: Path) -> int:
    with opened(path) as image:
        return orientation(image)


def to_class_ids(colours: Pixels, palette: Sequence[str], nearest: bool, source: str) -> Pixels:
    """Turn colours into class ids.

    Parameters
    ----------
    colours : uint8 array (height, width, 3)
        A picture of labels.
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
    found, inverse = np.unique(colours.reshape(-1, 3).astype(np.int64), axis=0, return_inverse=True)
    distances = ((found[:, None] - known[None]) ** 2).sum(-1)
    if not nearest and (distances.min(1) > 0).any():
        others = ["#" + bytes(colour).hex() for colour in found[distances.min(1) > 0].tolist()]
        raise DataError(
            f"{source} has the colours {some(others)}, and the classes {', '.join(palette)}: name all with --colour, "
            "or give --nearest-colour."
        )
    ids: Pixels = distances.argmin(1).astype(np.uint8)
    return ids[inverse].reshape(colours.shape[:2])
