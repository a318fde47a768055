"""Pairs from a folder with ``images/`` and ``masks/``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flower_dgan.config import DataConfig
from flower_dgan.data.image_files import IMAGE_MODES, MASK_MODES, list_files, read_image, read_mask, read_size
from flower_dgan.data.origins import read_origins
from flower_dgan.data.pairs import Entry, Pairs, Pixels
from flower_dgan.data.splits import some, split_entries
from flower_dgan.errors import ConfigError, DataError

# Class ids end here: a mask with higher values is a photograph, instance ids, or smoothed by JPEG or a resize.
MOST_CLASSES = 64
BINARY = frozenset({0, 255})


class FolderSource:
    """Images and masks with equal stems: PNG, JPEG or TIFF in ``root/images`` and ``root/masks``.

    Masks hold either 0 and 255, or class ids below 64; which of the two is decided over all masks.
    Headers and masks are checked at once; the pixels of the images are read by ``load``.

    Parameters
    ----------
    config : DataConfig
        ``root``, how names or a table give split, site and group, and what the networks see.

    Attributes
    ----------
    classes : int
        2 for masks of 0 and 255, otherwise the highest id + 1 (at least 2).
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

    def __init__(self, config: DataConfig) -> None:
        if config.channels not in (1, 3):
            raise ConfigError(f"data.channels={config.channels}: set 1 (grey) or 3 (RGB).")
        root = _root(config.root)
        self._images, self._masks = list_files(root / "images"), list_files(root / "masks")
        self._channels = config.channels
        self.image_classes = 0
        _check_partners(root, self._images, self._masks)
        names = list(self._images)
        sizes = [_size(self._images[name], self._masks[name], config.image_size) for name in names]
        origins = read_origins(names, root, config)
        entries = [
            Entry(name, origins[name].site, origins[name].group, -1, height, width)
            for name, (height, width) in zip(names, sizes, strict=True)
        ]
        splits = [split for name in names if (split := origins[name].split) is not None]
        self.train, self.test = split_entries(entries, splits or None, config)
        # Last, since it is the slow part: every mask is read.
        self._binary, self.classes = _classes(list(self._masks.values()))

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
        images = tuple(read_image(self._images[entry.name], self._channels) for entry in entries)
        masks = [read_mask(self._masks[entry.name]) for entry in entries]
        label_maps = tuple((mask > 0 if self._binary else mask).astype(np.uint8) for mask in masks)
        return Pairs(images, label_maps, self.classes)


def _root(given: str | None) -> Path:
    if given is None:
        raise ConfigError("data.source=folder needs a folder: set data.root to its absolute path.")
    root = Path(given).expanduser()
    if not root.is_dir():
        relative = (
            f" data.root={given} is relative to the current working directory, which in Flower's simulation is the one "
            "in which the local SuperLink was started: give an absolute path."
        )
        raise DataError(f"There is no folder {root.absolute()}: set data.root.{'' if root.is_absolute() else relative}")
    root = root.resolve()
    for name in ("images", "masks"):
        if not (root / name).is_dir():
            raise DataError(
                f"{root} has no folder '{name}': put images into {root / 'images'} and masks of the same names into "
                f"{root / 'masks'}, or change data.root."
            )
    return root


def _check_partners(root: Path, images: Mapping[str, Path], masks: Mapping[str, Path]) -> None:
    if not images:
        raise DataError(f"{root / 'images'} holds no PNG, JPEG or TIFF image: put images there, or change data.root.")
    for here, there, kind in ((images, masks, "mask"), (masks, images, "image")):
        if missing := set(here) - set(there):
            raise DataError(
                f"{len(missing)} {'images have' if kind == 'mask' else 'masks have'} no {kind} of the same name in "
                f"{root / (kind + 's')}: {some(here[name].name for name in missing)}. Add or remove them."
            )


def _size(image: Path, mask: Path, smallest: int) -> tuple[int, int]:
    (height, width), mask_size = read_size(image, IMAGE_MODES), read_size(mask, MASK_MODES)
    if mask_size != (height, width):
        raise DataError(
            f"{image} is {height} x {width} pixels (height x width) but {mask} is {mask_size[0]} x {mask_size[1]}: "
            "make them equal (a mask is resized without interpolation)."
        )
    if min(height, width) < smallest:
        raise DataError(
            f"{image} is {height} x {width} pixels, less than data.image_size={smallest}: "
            f"set data.image_size={min(height, width)} or less, or remove the image and its mask."
        )
    return height, width


def _classes(masks: Sequence[Path]) -> tuple[bool, int]:
    """Decide over all masks whether they are 0/255, and count the classes."""
    values = {path: {int(value) for value in np.unique(read_mask(path))} for path in masks}
    every = set().union(*values.values())
    if every <= BINARY:
        return True, 2
    if max(every) < MOST_CLASSES and min(every) >= 0:
        return False, max(2, max(every) + 1)
    odd = next((path for path in masks if not values[path] <= BINARY and max(values[path]) >= MOST_CLASSES), None)
    # Each mask alone may be fine, yet one has 0/255 and another class ids.
    path = odd or next(path for path in masks if not values[path] <= BINARY)
    shown = sorted(values[path])
    listed = ", ".join(map(str, shown[:8])) + (f", ... {shown[-1]} ({len(shown)} values)" if len(shown) > 8 else "")
    mixed = "" if odd else f", while {next(other for other in masks if 255 in values[other])} has 0 and 255"
    raise DataError(
        f"{path} holds the values {listed}{mixed}: masks hold either 0 and 255 only or class ids below {MOST_CLASSES}. "
        "JPEG and smooth resizing invent values: save masks as PNG, resized without interpolation."
    )


def read_label_maps(folder: Path, classes: int, image_size: int) -> tuple[Pixels, ...]:
    """Read a folder of label maps without images.

    Parameters
    ----------
    folder : Path
        PNG, JPEG or TIFF files of 0 and 255 or of class ids.
    classes : int
        Number of classes that there may be, background included.
    image_size : int
        Least height and width in pixels.

    Raises
    ------
    DataError
        If there is no label map, or one has another class or is too small.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder.absolute()}: give a folder of label maps.")
    paths = list(list_files(folder).values())
    if not paths:
        raise DataError(f"{folder} holds no PNG, JPEG or TIFF label map.")
    binary, found = _classes(paths)
    if found > classes:
        raise DataError(f"{folder} has {found} classes, more than the {classes} that the generator knows.")
    masks = [read_mask(path) for path in paths]
    for path, mask in zip(paths, masks, strict=True):
        if min(mask.shape) < image_size:
            raise DataError(f"{path} is {mask.shape[0]} x {mask.shape[1]} pixels, less than {image_size}.")
    return tuple((mask > 0 if binary else mask).astype(np.uint8) for mask in masks)
