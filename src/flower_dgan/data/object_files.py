"""The objects of a folder, each whole, in whichever of three ways they are kept beside ``images/``.

``instances.json``: one annotation file of COCO for all. ``instances/<stem>.json``: one an image, as ``data prepare``
writes them. ``instances/<stem>/``: a folder of masks, a file an object. The fourth way, a number a pixel in
``instances/<stem>.png``, cuts objects where they overlap: it is read by :mod:`flower_dgan.data.instances`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flower_dgan.data.coco_annotations import CocoFile
from flower_dgan.data.image_files import list_files, read_mask, sound_files
from flower_dgan.data.object_masks import ObjectMasks, of_stack
from flower_dgan.errors import DataError

FILE, FOLDER = "instances.json", "instances"


def whole_objects(root: Path) -> bool:
    """Return whether a folder keeps objects whole, in a way in which they may overlap."""
    folder = root / FOLDER
    return (root / FILE).is_file() or (
        folder.is_dir() and (bool(_folders(folder)) or bool(list_files(folder, (".json",))))
    )


def read_objects(root: Path, names: Sequence[str]) -> list[ObjectMasks]:
    """Read the objects of some pairs of a folder that keeps them whole.

    Parameters
    ----------
    root : Path
        The folder.
    names : sequence of str
        The stems of the pairs.

    Raises
    ------
    DataError
        They are kept in two ways, or those of a pair are missing or unreadable.
    """
    folder = root / FOLDER
    if (root / FILE).is_file() and folder.is_dir():
        raise DataError(f"{root} keeps objects in {FILE} and in {FOLDER}/: remove one of them.")
    if (root / FILE).is_file():
        file = CocoFile(root / FILE)
        _require(names, file.images, root / FILE)
        return [file.objects(name) for name in names]
    folders, files = _folders(folder), sound_files(folder, (".json",))
    if folders and files:
        raise DataError(f"{folder} holds both folders and JSON files: remove one or the other.")
    if folders:
        _require(names, folders, folder)
        return [read_stack(folders[name]) for name in names]
    _require(names, files, folder)
    return [_alone(files[name], name) for name in names]


def read_stack(folder: Path) -> ObjectMasks:
    """Read the masks of one image, a file an object in the order of their names: what is not 0 is the object.

    Raises
    ------
    DataError
        There is none, one cannot be read or is empty, or they are of several sizes.
    """
    files = sound_files(folder)
    masks = {path: read_mask(path) > 0 for path in files.values()}
    if not masks:
        raise DataError(f"{folder} holds no mask: put a PNG an object there.")
    (first, shape), *others = [(path, mask.shape) for path, mask in masks.items()]
    if odd := [path for path, other in others if other != shape]:
        raise DataError(f"{odd[0]} is of another size than {first}: make them equal.")
    if empty := [path for path, mask in masks.items() if not mask.any()]:
        raise DataError(f"{empty[0]} holds no object, it is 0 throughout: remove it.")
    return of_stack(np.stack(list(masks.values())))


def _alone(path: Path, name: str) -> ObjectMasks:
    file = CocoFile(path)
    if list(file.images) != [name]:
        raise DataError(f"{path} lists the images {', '.join(file.images) or 'none'}, and {name} alone is wanted.")
    return file.objects(name)


def _folders(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")}


def _require(names: Sequence[str], there: Mapping[str, object], place: Path) -> None:
    if missing := [name for name in names if name not in there]:
        raise DataError(
            f"{place} lacks the objects of {missing[0]}, and of {len(missing):,} of {len(names):,} pairs in all: "
            "add them."
        )
