"""Parts of pictures: a large one is read once and fetched by windows, so that it is never in memory twice."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.data.upright import orientation, shown_size, stored_window, upright_array

Window = tuple[slice, slice]
_BLOCK = 2**22  # pixels


class Windowed(Protocol):
    """What arrays have in common with pictures that are fetched by windows; channels are the third axis, if any."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return height and width in pixels, and the number of channels if it has that axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of a value."""
        ...

    def __getitem__(self, window: Window, /) -> NDArray[Any]:
        """Return the pixels of a window: rows and columns, each with its start and stop."""
        ...


class LoadedPicture:
    """A picture as Pillow holds it, fetched as it is shown.

    Parameters
    ----------
    image : Image
        Opened; its pixels are read here.
    mode : str
        The mode of Pillow that windows are converted to.

    Attributes
    ----------
    shape, dtype
        As an array's: two axes for modes of one channel, three for others.
    """

    def __init__(self, image: Image.Image, mode: str) -> None:
        image.load()
        self._image, self._mode = image, mode
        # Pillow has turned TIFF by now, and says so.
        self._stored = orientation(image)
        sample = np.asarray(image.crop((0, 0, 1, 1)).convert(mode))
        self.shape: tuple[int, ...] = (*shown_size(image), *sample.shape[2:])
        self.dtype: np.dtype[Any] = sample.dtype

    def __getitem__(self, window: Window, /) -> NDArray[Any]:
        """Return the pixels of a window."""
        rows, columns = stored_window(window, self.shape, self._stored)
        box = (columns.start, rows.start, columns.stop, rows.stop)
        part = self._image if box == (0, 0, *self._image.size) else self._image.crop(box)
        return upright_array(np.asarray(part if part.mode == self._mode else part.convert(self._mode)), self._stored)


def whole(picture: Windowed) -> NDArray[Any]:
    """Return all pixels of a picture."""
    return picture[slice(0, picture.shape[0]), slice(0, picture.shape[1])]


def row_blocks(height: int, width: int) -> Iterator[Window]:
    """Yield windows of whole rows, of about four million pixels each, from the top to the bottom of a picture."""
    rows = max(1, _BLOCK // max(width, 1))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height)), slice(0, width)
