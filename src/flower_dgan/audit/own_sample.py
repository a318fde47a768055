"""Windows of a run's own images, and folders of them for a node: what an audit attacks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flower_dgan.config import Config
from flower_dgan.data import Pixels
from flower_dgan.data.array_files import write_image
from flower_dgan.errors import DataError
from flower_dgan.node.node import open_partition


@dataclass(frozen=True)
class Sample:
    """Windows of images, with those of their label maps.

    Attributes
    ----------
    images : uint8 array (windows, side, side, channels)
    label_maps : uint8 array (windows, side, side)
        Class ids.
    classes : int
        Of the label maps, at least 2.
    """

    images: NDArray[np.uint8]
    label_maps: NDArray[np.uint8]
    classes: int

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.images)

    def __getitem__(self, part: slice | NDArray[np.generic]) -> "Sample":
        """Return some of the windows."""
        return Sample(self.images[part], self.label_maps[part], self.classes)

    @property
    def floats(self) -> NDArray[np.float64]:
        """The images as networks see them: (windows, channels, side, side), in [-1, 1]."""
        return self.images.transpose(0, 3, 1, 2) / 127.5 - 1

    def write(self, folder: Path) -> Path:
        """Write a folder of a node's own pairs, each of a patient of its own; return it.

        There is one pair more, which the node keeps for tests: the first once more.
        """
        names = [f"tr_audited_{number}_0" for number in range(len(self))]
        for name, number in [*zip(names, range(len(self)), strict=True), ("te_audited_test_0", 0)]:
            write_image(self.images[number], folder / "images", name)
            write_image(self.label_maps[number], folder / "masks", name)
        return folder


def sample_of(config: Config, clients: int, side: int, most: int) -> Sample:
    """Return windows of the clients' training images, which do not overlap, in an order that follows from the seed.

    Parameters
    ----------
    config : Config
        Of the run; it says where the data are and how they are shared out.
    clients : int
        How many there were.
    side : int
        Of a window, in pixels.
    most : int
        How many at most.

    Raises
    ------
    ConfigError, DataError, FederationError
        If the data cannot be opened here, or there are too few windows that are not of a single value.
    """
    nodes = [open_partition(config, client, clients) for client in range(clients)]
    whole = [node.pairs for node in nodes if node.channels is None]
    images = [image for pairs in whole for image in pairs.images]
    label_maps = [label_map for pairs in whole for label_map in pairs.label_maps]
    places = [
        (index, top, left)
        for index, image in enumerate(images)
        for top in range(0, image.shape[0] - side + 1, side)
        for left in range(0, image.shape[1] - side + 1, side)
        if _says_something(image[top : top + side, left : left + side])
    ]
    if len(places) < 2:
        raise DataError(f"An audit wants windows of {side} pixels, and the clients that have all channels have none.")
    chosen = np.random.default_rng(config.seed).permutation(len(places))[:most]
    cut = [places[index] for index in chosen.tolist()]
    return Sample(
        _windows((images[index] for index, _, _ in cut), cut, side),
        _windows((label_maps[index] for index, _, _ in cut), cut, side),
        max(2, whole[0].classes),
    )


def _says_something(window: Pixels) -> bool:
    return bool(window.min() < window.max())


def _windows(arrays: Iterable[Pixels], places: Sequence[tuple[int, int, int]], side: int) -> NDArray[np.uint8]:
    cut = [array[top : top + side, left : left + side] for array, (_, top, left) in zip(arrays, places, strict=True)]
    return np.stack(cut)
