"""MNIST and Fashion-MNIST from files, whole as torchvision keeps them or a part alone."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flower_dgan.config import DataConfig
from flower_dgan.data.digits import FOREGROUND
from flower_dgan.data.idx_files import find_parts, read_part
from flower_dgan.data.pairs import Entry, Pairs, Pixels
from flower_dgan.data.splits import split_entries
from flower_dgan.errors import ConfigError, DataError, unknown_name
from flower_dgan.whole_file import settle, writing

# Torchvision's classes, which are its folders too.
_DATASETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
# The names of torchvision's files, and of its splits.
_PARTS = {"t10k": "test", "train": "train"}


class MnistSource:
    """Grey images of ten classes, from ``root/MNIST/raw`` or ``root/FashionMNIST/raw`` or ``root`` itself.

    Training and test files are the splits ``train`` and ``test``. Where there is one pair of files only, a share
    ``config.test_fraction`` of it is held out. The label of an entry is its class, its site the name of the class, and
    its group its own name.

    Parameters
    ----------
    config : DataConfig
        ``source`` is ``mnist`` or ``fashion-mnist``; ``channels`` must be 1; ``table`` and ``name_pattern`` None.

    Attributes
    ----------
    classes : int
        2: background and foreground.
    image_classes : int
        10.
    train, test : tuple of Entry
        In the order of the files. Not to be changed.

    Raises
    ------
    ConfigError
        If the settings do not fit grey data, or name an unknown site.
    DataError
        If the files are not there or cannot be used, or a split is left without a pair.
    """

    def __init__(self, config: DataConfig) -> None:
        if config.channels != 1:
            raise ConfigError(f"{config.source} is grey, but data.channels={config.channels}: set data.channels=1.")
        for key in ("table", "name_pattern"):
            if getattr(config, key) is not None:
                raise ConfigError(f"data.source={config.source} reads no data.{key}: set data.{key}=null.")
        parts = _find(config)
        names = _class_names(config.source)
        self.classes, self.image_classes = 2, len(names)
        self._size = config.image_size
        self._images: dict[str, Pixels] = {}
        entries, splits = [], []
        for part, (images, labels) in parts.items():
            read = read_part(images, labels, len(names))
            for index, (image, label) in enumerate(zip(read.images, read.labels.tolist(), strict=True)):
                name = f"{part}-{index:05d}"
                self._images[name] = image
                entries.append(Entry(name, names[label], name, label, self._size, self._size))
                splits.append(_PARTS.get(part, part))
        self.train, self.test = split_entries(entries, splits if len(parts) > 1 else None, config)

    def own_images(self, entries: Sequence[Entry]) -> Iterator[Pixels]:
        """Yield the image of each entry in the size that it has in its file."""
        return (self._images[entry.name] for entry in entries)

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Resize the images of some entries of this source.

        Parameters
        ----------
        entries : sequence of Entry
            Any of ``train`` and ``test``.

        Returns
        -------
        Pairs
            Images (image_size, image_size, 1) by bicubic interpolation; label maps 1 where the image is at least 128.
        """
        side = (self._size, self._size)
        images = [
            np.asarray(Image.fromarray(self._images[entry.name]).resize(side, Image.Resampling.BICUBIC))
            for entry in entries
        ]
        label_maps = tuple((image >= FOREGROUND).astype(np.uint8) for image in images)
        return Pairs(tuple(image[:, :, None] for image in images), label_maps, self.classes)


def download_folder(name: str, root: Path) -> Path:
    """Return the folder below ``data.root`` that a download makes; raises ConfigError if there is no such data set."""
    if name not in _DATASETS:
        raise ConfigError(unknown_name("data set to download", name, _DATASETS))
    return root / _DATASETS[name]


def is_whole(folder: Path) -> bool:
    """Return whether a folder of :func:`download_folder` holds both parts; raises DataError if half of one is there."""
    return set(find_parts(folder / "raw")) >= set(_PARTS)


def download(name: str, folder: Path) -> None:
    """Download a data set through torchvision.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist"}
        Which.
    folder : Path
        Empty; what torchvision calls ``<data set>/raw`` is ``raw`` there afterwards.

    Raises
    ------
    DataError
        If it cannot be had.
    """
    try:
        _dataset(name)(folder, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be downloaded: {error}. Without internet, get the files elsewhere. {_needed(name)}"
        ) from error
    own = folder / _DATASETS[name]
    with writing(folder):
        (own / "raw").rename(folder / "raw")
        own.rmdir()
    settle(folder / "raw")


def _dataset(name: str) -> Any:
    # Imported here: torchvision takes a second, which a run on other data need not wait.
    import torchvision  # type: ignore[import-untyped]

    return getattr(torchvision.datasets, _DATASETS[name])


def _class_names(name: str) -> list[str]:
    if name == "mnist":
        return [f"digit-{digit}" for digit in range(10)]
    return [re.sub("[^a-z]+", "-", words.lower()) for words in _dataset(name).classes]


def _find(config: DataConfig) -> dict[str, tuple[Path, Path]]:
    name = config.source
    if config.root is None:
        raise DataError(f"data.source={name} needs a folder: set data.root to its absolute path. {_advice(name)}")
    root = Path(config.root).expanduser()
    raw = root / _DATASETS[name] / "raw"
    parts = find_parts(raw) or find_parts(root)
    if not parts:
        raise DataError(f"There are no files of {name} in {raw} or {root.absolute()}. {_advice(name)}")
    if len(parts) > 1 and set(parts) != set(_PARTS):
        raise DataError(
            f"{next(iter(parts.values()))[0].parent} has the files of {', '.join(parts)}: keep train and t10k, or one "
            "of them alone."
        )
    return parts


def _advice(name: str) -> str:
    return f"{_needed(name)} On a machine with internet: flower-dgan data download {name} <data.root>"


def _needed(name: str) -> str:
    return (
        "Needed are train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
        "t10k-labels-idx1-ubyte, or images and labels of one of the two alone, each with or without .gz, in "
        f"<data.root>/{_DATASETS[name]}/raw or in <data.root>."
    )
