"""The HDF5 files that the published scripts of AsynDGAN write (Chang et al., CVPR 2020).

Nuclei: ``train_<organ>.h5`` with ``images/<key>`` and ``labels/<key>``, where there are splits under ``train`` and
``test``. Brains: ``BraTS18_tumor_size_<k>.h5`` or ``BraTS18.h5`` with ``<split>/<number>/t2`` and ``.../seg``, volumes
whose slices with a tumour are taken. A file is a site.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.prepare.layouts import content_of, visible
from flower_dgan.data.prepare.numbers import object_numbers, require_finite
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings, name_pair
from flower_dgan.data.prepare.requirements import require
from flower_dgan.data.prepare.tumours import TUMOUR_CLASSES, slices
from flower_dgan.errors import DataError, reason_of
from flower_dgan.whole_file import require_file

_SPLITS: Mapping[str, Literal["tr", "te"]] = MappingProxyType({"train": "tr", "test": "te"})
# A damaged header may say any size; a volume of BraTS has nine million.
_MOST = 2**31
_LAYOUT = (
    "files *.h5 with images/<key> and labels/<key> (nuclei) or <train or test>/<number>/t2 and .../seg (brains), as "
    "AsynDGAN's scripts write them."
)


def find_asyndgan(root: Path, settings: PrepareSettings) -> Found:
    """Find the pairs of all files of a folder, or of one file."""
    paths = [root] if root.exists() and not root.is_dir() else visible(root.glob("*.h5"))
    if len(paths) > 1 and (whole := [path.name for path in paths if path.stem.endswith("_all")]):
        raise DataError(f"{whole[0]} repeats the pairs of the other files in {root}: give one of the two.")
    originals: list[Original] = []
    kinds = set()
    for path in paths:
        with _opened(path) as file:
            for split, group in _splits(file, path).items():
                kinds.add(kind := "nuclei" if "images" in group else "brains")
                find = _nuclei if kind == "nuclei" else _brains
                originals += find(path, split, group, settings)
    if not originals or len(kinds) > 1:
        raise DataError(
            f"{root.absolute()} has no pairs, or nuclei beside brains. Expected are {_LAYOUT} {content_of(root)}"
        )
    return Found(tuple(originals), ("background", "nucleus") if kinds == {"nuclei"} else TUMOUR_CLASSES)


def _splits(file: Any, path: Path) -> dict[Literal["tr", "te"], Any]:
    """Return the groups that hold pairs, by split; a file that names none is for training, unless its own name does."""
    named: dict[Literal["tr", "te"], Any] = {short: file[name] for name, short in _SPLITS.items() if name in file}
    return named or {"te" if path.stem.startswith("test") else "tr": file}


def _nuclei(path: Path, split: Literal["tr", "te"], group: Any, settings: PrepareSettings) -> Iterator[Original]:
    if "labels" not in group or set(group["images"]) != set(group["labels"]):
        raise DataError(f"{path}: images and labels have different keys. Expected are {_LAYOUT}")
    site = _site(path)
    for key in group["images"]:
        names = (group["images"][key].name, group["labels"][key].name)
        read = partial(_read_nucleus, path, names, settings.instances)
        yield Original(f"{path.name}{names[0]}", name_pair(split, site, f"{site}-{key}", "0"), read)


def _brains(path: Path, split: Literal["tr", "te"], group: Any, settings: PrepareSettings) -> Iterator[Original]:
    site = _site(path)
    for key, patient in group.items():
        if "t2" not in patient or "seg" not in patient:
            raise DataError(f"{path}: {patient.name} has no t2 and seg. Expected are {_LAYOUT}")
        name = str(patient["seg"].attrs.get("id", f"{site}-{key}"))
        read = partial(_read_brain, path, patient.name, settings.value_range is None)
        yield Original(f"{path.name}{patient.name}", name_pair(split, site, name, "t2"), read)


def _site(path: Path) -> str:
    return re.sub("^(train|test|BraTS18)_", "", path.stem)


def _read_nucleus(path: Path, names: tuple[str, str], instances: bool) -> list[tuple[str, OriginalPair]]:
    image, label = _read(path, names)
    if label.ndim == 3 and (label == label[..., :1]).all():
        label = label[..., 0]
    values = np.unique(label)
    if label.ndim != 2 or not (instances or set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, 255}):
        raise DataError(
            f"{path}: {names[1]} is of shape {label.shape} with values up to {values.max()}, not 0 and 1 or 0 and 255: "
            "give --instances if each object has a number."
        )
    numbers = object_numbers(label, f"{path}: {names[1]}") if instances else None
    return [("", OriginalPair(image, (label > 0).astype(np.uint8), numbers))]


def _read_brain(path: Path, name: str, scale: bool) -> Iterator[tuple[str, OriginalPair]]:
    volume, labels = _read(path, (f"{name}/t2", f"{name}/seg"))
    yield from slices([volume], labels, scale, f"{path}: {name}")


def _read(path: Path, names: tuple[str, str]) -> list[NDArray[Any]]:
    with _opened(path) as file:
        for name in names:
            if file[name].size > _MOST:
                raise DataError(f"{path}: {name} has the shape {file[name].shape}, more than {_MOST:,} numbers.")
        arrays = [np.asarray(file[name][()]) for name in names]
    for name, array in zip(names, arrays, strict=True):
        require_finite(array, f"{path}: {name}")
    return arrays


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file for reading; raises DataError for whatever is wrong with it, also in the body."""
    h5py = require("h5py", "hdf5", "data prepare asyndgan-hdf5")
    try:
        with h5py.File(require_file(path)) as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # h5py raises almost anything on corrupt bytes, and what lies elsewhere has other types
        raise DataError(f"{path} cannot be read as HDF5: {reason_of(error)}. Expected are {_LAYOUT}") from error
