"""Pictures of more bands or bits than Pillow reads, by rasterio."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from flower_dgan.data.picture_checks import check_side, transparent
from flower_dgan.data.picture_files import opened
from flower_dgan.data.picture_windows import Window, Windowed, row_blocks
from flower_dgan.data.prepare.requirements import require
from flower_dgan.data.upright import orientation, shown_shape, stored_window, tiff_orientation, tiff_tags, upright_array
from flower_dgan.errors import DataError, reason_of

# How TIFF says that 0 is black, and that there are red, green and blue.
_PLAIN = (1, 2)
_CACHE = 2**29  # bytes of decoded blocks that GDAL keeps: a row of tiles, so that no block is decoded for each of them


def open_bands(path: Path) -> Windowed:
    """Open a picture with all its bands, (height, width, bands), as it is shown.

    An alpha channel that says nothing is left out.

    Raises
    ------
    DataError
        If it cannot be read, holds more than one frame or colours other than grey and RGB, or is no TIFF and has a
        pixel that is not opaque.
    ConfigError
        If rasterio is not installed.
    """
    with _reading(path) as rasterio:
        data = rasterio.open(path)
        tags = tiff_tags(path) if data.driver == "GTiff" else {}
        stored = tiff_orientation(tags) if tags else _orientation(path)
    if data.subdatasets:
        raise DataError(f"{path} holds more than one frame: save each frame as a file of its own.")
    check_side(data.height, data.width, path)
    if tags.get(PHOTOMETRIC_INTERPRETATION, 1) not in _PLAIN:
        raise DataError(
            f"{path} has other colours than grey in which 0 is black, and RGB, or colours of a palette: save it as one "
            "of the two."
        )
    picture = _Bands(path, data, stored)
    for index, kind in enumerate(data.colorinterp):
        if kind.name == "alpha" and picture.is_full(index):
            picture.leave_out(index)
        elif kind.name == "alpha" and not tags:
            raise transparent(path, "on a background")
    return picture


class _Bands:
    """A file that rasterio has opened, fetched by windows."""

    def __init__(self, path: Path, data: Any, stored: int) -> None:
        self._path, self._data, self._stored = path, data, stored
        self._bands = list(data.indexes)
        self.dtype: np.dtype[Any] = np.dtype(np.result_type(*data.dtypes))

    @property
    def shape(self) -> tuple[int, ...]:
        return (*shown_shape(self._data.height, self._data.width, self._stored), len(self._bands))

    def __getitem__(self, window: Window, /) -> NDArray[Any]:
        return upright_array(
            self._stored_part(stored_window(window, self.shape, self._stored), self._bands), self._stored
        )

    def is_full(self, index: int) -> bool:
        """Return whether all values of a band are the highest there is."""
        highest = np.iinfo(self.dtype).max if self.dtype.kind == "u" else None
        blocks = row_blocks(self._data.height, self._data.width)
        return highest is not None and all((self._stored_part(block, [index + 1]) == highest).all() for block in blocks)

    def leave_out(self, index: int) -> None:
        self._bands.remove(index + 1)

    def _stored_part(self, window: Window, bands: list[int]) -> NDArray[Any]:
        with _reading(self._path) as rasterio, rasterio.Env(GDAL_CACHEMAX=_CACHE):
            part: NDArray[Any] = self._data.read(bands, window=rasterio.windows.Window.from_slices(*window))
        return part.transpose(1, 2, 0)


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Yield rasterio; raises DataError for whatever it says of a file."""
    rasterio = require("rasterio", "geo", f"{path}, of more than 8 bits or 3 channels,")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)  # where on earth is not asked for
            yield rasterio
    except DataError:
        raise
    except Exception as error:  # as for Pillow, on corrupt bytes almost anything is raised
        raise DataError(f"{path} cannot be read ({reason_of(error)}): replace it, or remove image and mask.") from error


def _orientation(path: Path) -> int:
    with opened(path) as image:
        return orientation(image)
