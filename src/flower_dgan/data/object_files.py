"""The objects of a folder, each whole, in whichever of three ways they are kept beside ``images/``.

``instances.json``: one annotation file of COCO for all. ``instances/<stem>.json``: one an image, as ``data prepare``
writes them. ``instances/<stem>/``: a folder of masks, a file an object. The fourth way, a number a pixel in
``instances/<stem>.png``, cuts objects where they overlap: it is read by :mod:`flower_dgan.data.instances`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from flower_dgan.data.coco_annotations import CocoFile
from flower_dgan.data.image_files import list_files, read_mask, sound_files
from flower_dgan.data.lossy_files import lossy_format
from flower_dgan.data.object_masks import Bits, ObjectMasks, of_stack
from flower_dgan.data.overlap import require_fit
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.text_files import same_name
from flower_dgan.errors import DataError

FILE, FOLDER = "instances.json", "instances"


def whole_objects(root: Path) -> bool:
    """Return whether a folder keeps objects whole, in a way in which they may overlap."""
    folder = root / FOLDER
    return (root / FILE).exists() or (
        folder.is_dir() and (bool(_folders(folder)) or bool(list_files(folder, (".json",))))
    )


class KeptObjects:
    """The objects of a folder that keeps them whole, opened once for all its pairs.

    Parameters
    ----------
    root : Path
        The folder.

    Attributes
    ----------
    there : mapping of str to Path
        Where the objects of each pair are, by its stem: ``instances.json`` for all, or a file or folder of its own.

    Raises
    ------
    DataError
        They are kept in two ways, or the file of all cannot be read.
    """

    def __init__(self, root: Path) -> None:
        folder = root / FOLDER
        self._place = root / FILE if (root / FILE).exists() else folder
        self._all: CocoFile | None = None
        if self._place != folder:
            if folder.is_dir():
                raise DataError(f"{root} keeps objects in {FILE} and in {FOLDER}/: remove one of them.")
            self._all = CocoFile(root / FILE)
            self.there: Mapping[str, Path] = dict.fromkeys(self._all.images, root / FILE)
            return
        folders, files = _folders(folder), sound_files(folder, (".json",))
        if folders and files:
            raise DataError(f"{folder} holds both folders and JSON files: remove one or the other.")
        self.there = folders or files

    def read(self, names: Sequence[str]) -> list[ObjectMasks]:
        """Read the objects of some pairs, by their stems; raises DataError if any are missing or unreadable."""
        if missing := [name for name in names if name not in self.there]:
            raise DataError(
                f"{self._place} lacks the objects of {missing[0]}, and of {len(missing):,} of {len(names):,} pairs in "
                "all: add them."
            )
        return list(map(self._read, names))

    def fitting(self, names: Sequence[str], label_maps: Iterable[Pixels], classes: int) -> list[ObjectMasks]:
        """Read the objects of some pairs, and hold them against the class ids of their masks, (height, width) each.

        Raises
        ------
        DataError
            As :meth:`read`; if objects are of another size than their mask or do not fit it, see
            :func:`~flower_dgan.data.overlap.require_fit`.
        """
        found = self.read(names)
        for name, objects, label_map in zip(names, found, label_maps, strict=True):
            require_fit(objects, label_map, classes, f"The objects of {name} in {self.there[name]}")
        return found

    def _read(self, name: str) -> ObjectMasks:
        if self._all is not None:
            return self._all.objects(name)
        place = self.there[name]
        return read_stack(place) if place.is_dir() else _alone(place, name)


def read_stack(folder: Path) -> ObjectMasks:
    """Read the masks of one image, a file an object in the order of their names: what is not 0 is the object.

    Raises
    ------
    DataError
        There is none, one cannot be read, does not keep its values or is empty, or they are of several sizes.
    """
    files = sound_files(folder)
    masks = {path: read_object(path) for path in files.values()}
    if not masks:
        raise DataError(
            f"{folder} holds no mask: put a PNG an object there. That an image has no object an annotation file of "
            f"COCO can say, {FILE} or {FOLDER}/<stem>.json, which lists it without annotations."
        )
    (first, shape), *others = [(path, mask.shape) for path, mask in masks.items()]
    if odd := [path for path, other in others if other != shape]:
        raise DataError(f"{odd[0]} is of another size than {first}: make them equal.")
    if empty := [path for path, mask in masks.items() if not mask.any()]:
        raise DataError(f"{empty[0]} holds no object, it is 0 throughout: remove it.")
    return of_stack(np.stack(list(masks.values())))


def read_object(path: Path) -> Bits:
    """Read the mask of one object, bool (height, width): what is not 0; raises DataError if it is kept only nearly."""
    mask: Bits = read_mask(path) > 0
    if mask.any() and (lossy := lossy_format(path)):
        raise DataError(
            f"{path} keeps the mask of an object as {lossy}, which invents values beside it: save it as PNG, from the "
            "original."
        )
    return mask


def _alone(path: Path, name: str) -> ObjectMasks:
    file = CocoFile(path)
    if list(file.images) != [name]:
        raise DataError(f"{path} lists the images {', '.join(file.images) or 'none'}, and {name} alone is wanted.")
    return file.objects(name)


def _folders(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {same_name(path.name): path for path in found}
