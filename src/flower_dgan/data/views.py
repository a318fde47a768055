"""Views of pairs: which sample, which window, turned and coloured how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.pairs import Pixels
from flower_dgan.data.windows import STRONGEST_COLOURS
from flower_dgan.errors import ProtocolError


@dataclass(frozen=True, eq=False)
class Views:
    """What to cut out of which pairs.

    Attributes
    ----------
    ids : int64 array (batch,)
        Index of the pair at its client.
    windows : int16 array (batch, 4)
        Top and left in pixels, mirror (0 or 1: left-right), and angle in degrees (0 .. 359: counter-clockwise).
        The window is cut first, then mirrored, then turned.
    colours : int8 array (batch, 4) or None
        Change of brightness, contrast, saturation and hue of the image in percent; None for no change. Label maps have
        no colour.
    """

    ids: NDArray[np.int64]
    windows: NDArray[np.int16]
    colours: NDArray[np.int8] | None = None

    def __getitem__(self, part: slice) -> "Views":
        """Return some of the views."""
        return Views(self.ids[part], self.windows[part], None if self.colours is None else self.colours[part])

    def check(self, sizes: NDArray[np.integer[Any]], image_size: int) -> None:
        """Check that the views can be applied; they come over the wire.

        Parameters
        ----------
        sizes : int array (n, 2)
            Height and width in pixels of every pair of the client.
        image_size : int
            Side of a window in pixels.

        Raises
        ------
        ProtocolError
            If a type or shape is wrong, there is no view, an id is unknown, a window leaves its image, or a colour
            changes by more than ``STRONGEST_COLOURS``.
        """
        if self.ids.dtype != np.int64 or self.windows.dtype != np.int16:
            raise ProtocolError(
                f"Views are int64 ids and int16 windows, not {self.ids.dtype} and {self.windows.dtype}."
            )
        if self.ids.ndim != 1 or not len(self.ids) or self.windows.shape != (len(self.ids), 4):
            raise ProtocolError(
                f"Views of shapes {self.ids.shape} and {self.windows.shape}, not (batch,) and (batch, 4)."
            )
        if self.ids.min() < 0 or self.ids.max() >= len(sizes):
            raise ProtocolError(f"Views name pairs {self.ids.min()} .. {self.ids.max()} of {len(sizes)}.")
        highest = np.ones((len(self.ids), 4), dtype=np.int64) * (0, 0, 1, 359)
        highest[:, :2] = sizes[self.ids].astype(np.int64) - image_size
        wrong = np.flatnonzero(((self.windows < 0) | (self.windows > highest)).any(axis=1))
        if len(wrong):
            raise ProtocolError(
                f"View {wrong[0]} is top, left, mirror, angle = {self.windows[wrong[0]].tolist()}; "
                f"for windows of {image_size} pixels the highest are {highest[wrong[0]].tolist()}."
            )
        if self.colours is not None:
            _check_colours(self.colours, len(self.ids))


def _check_colours(colours: NDArray[np.int8], count: int) -> None:
    if colours.dtype != np.int8 or colours.shape != (count, 4):
        raise ProtocolError(f"Colours are int8 ({count}, 4), not {colours.dtype} {colours.shape}.")
    wrong = np.flatnonzero((np.abs(colours.astype(np.int64)) > STRONGEST_COLOURS).any(axis=1))
    if len(wrong):
        raise ProtocolError(
            f"View {wrong[0]} changes brightness, contrast, saturation, hue by {colours[wrong[0]].tolist()} percent; "
            f"the most are {list(STRONGEST_COLOURS)}, up or down."
        )


def join_views(parts: Sequence[Views]) -> Views:
    """Return the views of all parts, in their order; either all say colours, or none."""
    colours = [part.colours for part in parts if part.colours is not None]
    return Views(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.windows for part in parts]),
        np.concatenate(colours) if colours else None,
    )


def sizes_of(arrays: Sequence[Pixels]) -> NDArray[np.int64]:
    """Return the height and width of each image or label map as an int64 array (n, 2)."""
    sides = (side for array in arrays for side in array.shape[:2])
    return np.fromiter(sides, np.int64, 2 * len(arrays)).reshape(len(arrays), 2)
