"""A folder with ``images/`` and ``masks/`` that the main job cannot take as it is.

Images of 16 bits or of many bands, images too large to be kept whole, masks in colours, masks with a number for each
object.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flower_dgan.config.data_settings import MasksName
from flower_dgan.data.image_files import IMAGE_SUFFIXES, open_image, read_mask, sound_files
from flower_dgan.data.lossy_files import lossy_format
from flower_dgan.data.mask_values import decide_classes, mask_values
from flower_dgan.data.object_files import FILE as INSTANCES_FILE
from flower_dgan.data.object_files import FOLDER as INSTANCES_FOLDER
from flower_dgan.data.object_files import KeptObjects, whole_objects
from flower_dgan.data.open_masks import left_open
from flower_dgan.data.prepare.files import highest_number, open_samples, to_class_ids
from flower_dgan.data.prepare.layouts import find_folders, match_stems
from flower_dgan.data.prepare.numbers import object_numbers
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings
from flower_dgan.errors import DataError


def find_folder(root: Path, settings: PrepareSettings) -> Found:
    """Find the pairs of a folder, with what ``instances/`` has of them; they keep their names."""
    folders = find_folders(root, ["images", "masks"], "images/ and masks/ with files of equal names.")
    images, masks = sound_files(folders[0], IMAGE_SUFFIXES), sound_files(folders[1])
    match_stems(images, masks, "mask")
    kept = _find_whole_objects(root, images, settings)
    instances = {} if kept else _find_instances(root, images, settings)
    binary, ids, classes = False, False, ["background", "foreground"]
    unsound: dict[str, DataError] = {}
    if settings.palette:
        classes = [f"class {index} ({colour})" for index, colour in enumerate(settings.palette)]
    elif settings.instances:
        values, unsound = _values_of(masks, "objects", settings)
        decide_classes(values, masks="objects")
    else:
        values, unsound = _values_of(masks, settings.masks, settings)
        binary, count = decide_classes(values, masks=settings.masks)
        if settings.masks is None and (doubt := left_open(values, count, of_command=True)):
            raise DataError(doubt)
        ids, classes = not binary, ["background", *(f"class {index}" for index in range(1, count))]

    def reader(name: str) -> Callable[[], list[tuple[str, OriginalPair]]]:
        if name in unsound:
            return partial(_refuse, unsound[name])
        read = partial(_read, images[name], masks[name], instances.get(name), settings, binary)
        return (
            read if kept is None or name not in kept.there else partial(_with_objects, read, kept, name, len(classes))
        )

    originals = [Original(f"images/{path.name}", name, reader(name)) for name, path in images.items()]
    return Found(tuple(originals), tuple(classes), ids)


def _values_of(
    masks: Mapping[str, Path], kind: MasksName | None, settings: PrepareSettings
) -> tuple[dict[Path, Mapping[int, int]], dict[str, DataError]]:
    """Count the values of all masks; those that cannot be used are an error, or if they are left out, returned."""
    values: dict[Path, Mapping[int, int]] = {}
    unsound: dict[str, DataError] = {}
    for name, path in masks.items():
        try:
            values[path] = mask_values(path, masks=kind)
        except DataError as error:
            unsound[name] = error
    if unsound and (not settings.skip_unreadable or len(unsound) == len(masks)):
        first = next(iter(unsound.values()))
        if len(unsound) == 1:
            raise first
        raise DataError(f"{len(unsound):,} of {len(masks):,} masks cannot be used, the first one: {first}")
    return values, unsound


def _refuse(error: DataError) -> list[tuple[str, OriginalPair]]:
    raise error


def _find_instances(root: Path, images: Mapping[str, Path], settings: PrepareSettings) -> dict[str, Path]:
    """Return the files with the numbers of the objects, which some images may have in a folder of their own."""
    folder = root / "instances"
    if not folder.is_dir():
        return {}
    if settings.instances:
        raise DataError(f"{folder.absolute()} numbers the objects, and so would masks/: leave --instances away.")
    files = sound_files(folder)
    match_stems(files, {name: images[name] for name in files if name in images}, "image")
    return files


def _find_whole_objects(root: Path, images: Mapping[str, Path], settings: PrepareSettings) -> KeptObjects | None:
    """Open the objects of a folder that keeps them whole; None if it does not."""
    if not whole_objects(root):
        return None
    if settings.instances or settings.tile or settings.size:
        raise DataError(
            f"{root.absolute()} keeps each object whole, in {INSTANCES_FILE} or {INSTANCES_FOLDER}/, and --instances, "
            "--tile and --size would number or cut them: leave the option away, or move the objects away."
        )
    kept = KeptObjects(root)
    match_stems(kept.there, {name: images[name] for name in kept.there if name in images}, "image")
    return kept


def _with_objects(
    read: Callable[[], list[tuple[str, OriginalPair]]], kept: KeptObjects, name: str, classes: int
) -> list[tuple[str, OriginalPair]]:
    ((part, pair),) = read()
    assert pair.mask is not None
    (objects,) = kept.fitting([name], [pair.mask], classes)
    return [(part, replace(pair, objects=objects))]


def _numbers(path: Path) -> NDArray[np.uint16]:
    if lossy := lossy_format(path):
        raise DataError(f"{path} numbers objects as {lossy}, which invents numbers: save it as PNG, from the original.")
    return object_numbers(read_mask(path), str(path))


def _read(
    image: Path, mask: Path, instances: Path | None, settings: PrepareSettings, binary: bool
) -> list[tuple[str, OriginalPair]]:
    numbers = None if instances is None else _numbers(instances)
    if settings.palette:
        ids = to_class_ids(open_image(mask, 3), settings.palette, settings.nearest_colour, str(mask))
    elif settings.instances:
        numbers = object_numbers(read_mask(mask), str(mask))
        ids = (numbers > 0).view(np.uint8)
    else:
        values = read_mask(mask)
        ids = (values > 0).view(np.uint8) if binary else values.astype(np.uint8, copy=False)
    # Last, as it may be large, and what the masks were read from is gone by now.
    return [("", OriginalPair(open_samples(image), ids, numbers, highest_number(image)))]
