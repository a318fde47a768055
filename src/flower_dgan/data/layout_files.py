"""The files of new layouts: the whole objects that they are made of, and label maps with their objects beside."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from flower_dgan.config import DataConfig
from flower_dgan.data.class_maps import CLASSES, class_map
from flower_dgan.data.coco_annotations import write_coco
from flower_dgan.data.image_files import read_mask, sound_files
from flower_dgan.data.label_map_folder import LabelMaps, write_label_maps
from flower_dgan.data.object_files import FILE, FOLDER, KeptObjects, whole_objects
from flower_dgan.data.object_masks import ObjectMasks, of_numbers
from flower_dgan.data.origins import read_origins
from flower_dgan.data.pairs import Pixels
from flower_dgan.errors import ConfigError, DataError


def read_whole(folder: Path, data: DataConfig) -> list[ObjectMasks]:
    """Read the objects that a folder keeps, in whichever way; those of training pairs alone where names tell a split.

    Parameters
    ----------
    folder : Path
        With ``instances/`` or ``instances.json``.
    data : DataConfig
        ``name_pattern`` is used; where no name is as that wants them, all objects are read.

    Raises
    ------
    DataError
        The folder keeps no objects, or they cannot be read.
    """
    if whole_objects(folder):
        kept = KeptObjects(folder)
        return kept.read(_to_train(list(kept.there), folder, data))
    files = sound_files(folder / FOLDER) if (folder / FOLDER).is_dir() else {}
    if not files:
        raise DataError(
            f"{folder.absolute()} keeps no objects: give a folder with {FILE} or {FOLDER}/, as data prepare writes it."
        )
    return [of_numbers(read_mask(files[name])) for name in _to_train(list(files), folder, data)]


def objects_beside(label_maps: LabelMaps, classes: int) -> Sequence[ObjectMasks]:
    """Return the objects of label maps ``<folder>/masks``, one a map, where ``<folder>`` keeps those of all; else none.

    Parameters
    ----------
    label_maps : LabelMaps
        As :func:`~flower_dgan.data.label_map_folder.read_label_maps` read them.
    classes : int
        How many there are.

    Raises
    ------
    DataError
        They cannot be read, or do not fit the label maps.
    """
    root = label_maps.folder.absolute().parent
    if not whole_objects(root):
        return ()
    kept, names = KeptObjects(root), list(sound_files(label_maps.folder))
    return kept.fitting(names, label_maps.maps, classes) if set(names) <= set(kept.there) else ()


def write_layouts(folder: Path, layouts: Iterable[ObjectMasks], names: Sequence[str], classes: int) -> None:
    """Write label maps of layouts into ``masks/``, and their objects beside, into ``instances.json``.

    Parameters
    ----------
    folder : Path
        Where to.
    layouts : iterable of ObjectMasks
        One a name.
    names : sequence of str
        Stems of the files.
    classes : int
        4 for class maps, 2 for the foreground alone.

    Raises
    ------
    ConfigError, StorageError
        Label maps of other classes are wanted, or a file cannot be written.
    """
    if classes not in (2, len(CLASSES)):
        raise ConfigError(
            f"The masks have {classes} classes: objects that lie over each other are drawn as foreground (2), or as "
            f"class maps ({len(CLASSES)}: {', '.join(CLASSES)})."
        )
    objects: dict[str, ObjectMasks] = {}

    def drawn() -> Iterator[Pixels]:
        for name, layout in zip(names, layouts, strict=True):
            objects[f"{name}.png"] = layout
            yield class_map(layout) if classes == len(CLASSES) else (layout.depth() > 0).astype(np.uint8)

    write_label_maps(folder / "masks", drawn(), classes, names)
    write_coco(folder / FILE, objects)


def _to_train(names: Sequence[str], folder: Path, data: DataConfig) -> Sequence[str]:
    try:
        origins = read_origins(names, folder, data)
    except DataError:
        return names
    training = [name for name in names if origins[name].split not in data.test_splits]
    return training or names
