"""Pairs from a folder with ``images/`` and ``masks/``."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from flower_dgan.config import DataConfig
from flower_dgan.data.folder_scan import FolderScan, ScannedPair, require_sound, scan_folder
from flower_dgan.data.image_files import own_channels, read_image, read_mask
from flower_dgan.data.origins import Origin, read_origins
from flower_dgan.data.pairs import Entry, Pairs, Pixels
from flower_dgan.data.splits import split_entries


class FolderSource:
    """Images and masks with equal stems in ``root/images`` and ``root/masks``: PNG, JPEG or TIFF, and ``.npy`` images.

    Masks hold 0 and 255, or class ids below 64 or ``data.classes``, or numbers of objects, as ``data.masks`` says;
    without it, and without ``data.classes``, that is found out over all masks, and refused where it is left open.
    Headers and masks are checked at once; the pixels of the images are read by ``load``.

    Parameters
    ----------
    config : DataConfig
        ``root``, how names or a table give split, site and group, and what the networks see.
    divided : bool
        Whether there is a test split; without one all pairs are for training.
    tested : bool
        Whether it must have pairs, where names or a table give it; not for a node, which trains.

    Attributes
    ----------
    classes : int
        ``config.classes``; without it 2 for foreground and numbered objects, otherwise the highest id + 1 (at least 2).
    image_classes : int
        0: a folder says nothing about whole images.
    train, test : tuple of Entry
        In alphabetical order, without labels (-1). Not to be changed.

    Raises
    ------
    ConfigError
        If the settings contradict each other or name an unknown site.
    DataError
        If anything in the folder cannot be used as it is.
    """

    def __init__(self, config: DataConfig, *, divided: bool = True, tested: bool = True) -> None:
        scan = scan_folder(config)
        require_sound(scan)
        self._scan, self._channels = scan, config.channels
        self.classes, self.image_classes = scan.classes, 0
        self.train, self.test = (
            divide_folder(scan, config, tested=tested) if divided else (name_origins(scan, config), ())
        )

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Read the pixels of some entries of this source.

        Parameters
        ----------
        entries : sequence of Entry
            Any of ``train`` and ``test``.

        Returns
        -------
        Pairs
            Images in their own size with ``config.channels`` channels.

        Raises
        ------
        DataError
            If a file cannot be read.
        """
        return read_pairs(self._scan, [entry.name for entry in entries], self._channels)

    def own_images(self, entries: Sequence[Entry]) -> Iterator[Pixels]:
        """Yield the image of each entry with the channels that its file has, whatever the settings want of it."""
        for entry in entries:
            path = self._scan.pairs[entry.name].image
            yield read_image(path, own_channels(path, self._channels))


def read_pairs(scan: FolderScan, names: Sequence[str], channels: int) -> Pairs:
    """Read the pixels of some pairs of a folder; raises DataError if a file cannot be read."""
    images = tuple(read_image(scan.pairs[name].image, channels) for name in names)
    return Pairs(images, tuple(read_label_map(scan.pairs[name], scan.binary) for name in names), scan.classes)


def read_label_map(pair: ScannedPair, binary: bool) -> Pixels:
    """Read the class ids of a pair, of which every value but 0 is 1 if the masks are ``binary``."""
    if pair.mask is None:
        return np.zeros((pair.height, pair.width), np.uint8)
    mask = read_mask(pair.mask)
    return (mask > 0 if binary else mask).astype(np.uint8)


def divide_folder(
    scan: FolderScan, config: DataConfig, *, tested: bool = True
) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Name split, site and group of each pair, and divide them into training and test.

    The second may be empty where they are not ``tested``, see :func:`~flower_dgan.data.splits.split_entries`.

    Raises
    ------
    ConfigError, DataError
        As :func:`~flower_dgan.data.origins.read_origins` and :func:`~flower_dgan.data.splits.split_entries`.
    """
    origins = read_origins(list(scan.pairs), scan.root, config)
    splits = [split for name in scan.pairs if (split := origins[name].split) is not None]
    return split_entries(_entries(scan, origins), splits or None, config, tested=tested)


def name_origins(scan: FolderScan, config: DataConfig) -> tuple[Entry, ...]:
    """Name site and group of each pair, of whatever split; raises as ``read_origins`` does."""
    return _entries(scan, read_origins(list(scan.pairs), scan.root, config))


def _entries(scan: FolderScan, origins: Mapping[str, Origin]) -> tuple[Entry, ...]:
    return tuple(
        Entry(name, origins[name].site, origins[name].group, -1, pair.height, pair.width)
        for name, pair in scan.pairs.items()
    )
