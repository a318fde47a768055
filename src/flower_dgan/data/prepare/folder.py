"""A folder with ``images/`` and ``masks/`` that the main job cannot take as it is.

Images of 16 bits or of many bands, images too large to be kept whole, masks in colours, masks with a number for each
object.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from flower_dgan.data.image_files import SUFFIXES, read_image, read_mask
from flower_dgan.data.mask_values import decide_classes, mask_values
from flower_dgan.data.open_masks import left_open
from flower_dgan.data.prepare.files import by_stem, find_folders, match_stems, read_samples, to_class_ids
from flower_dgan.data.prepare.numbers import object_numbers
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings
from flower_dgan.errors import DataError


def find_folder(root: Path, settings: PrepareSettings) -> Found:
    """Find the pairs of a folder, with what ``instances/`` has of them; they keep their names."""
    folders = find_folders(root, ["images", "masks"], "images/ and masks/ with files of equal names.")
    images, masks = (
        by_stem(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) for folder in folders
    )
    match_stems(images, masks, "mask")
    instances = _find_instances(root, images, settings)
    binary, ids, classes = False, False, ["background", "foreground"]
    if settings.palette:
        classes = [f"class {index} ({colour})" for index, colour in enumerate(settings.palette)]
    elif not settings.instances:
        values = {path: mask_values(path, masks=settings.masks) for path in masks.values()}
        binary, count = decide_classes(values, masks=settings.masks)
        if settings.masks is None and (doubt := left_open(values, count, of_command=True)):
            raise DataError(doubt)
        ids, classes = not binary, ["background", *(f"class {index}" for index in range(1, count))]
    originals = [
        Original(f"images/{path.name}", name, partial(_read, path, masks[name], instances.get(name), settings, binary))
        for name, path in images.items()
    ]
    return Found(tuple(originals), tuple(classes), ids)


def _find_instances(root: Path, images: Mapping[str, Path], settings: PrepareSettings) -> dict[str, Path]:
    """Return the files with the numbers of the objects, which some images may have in a folder of their own."""
    folder = root / "instances"
    if not folder.is_dir():
        return {}
    if settings.instances:
        raise DataError(f"{folder.absolute()} numbers the objects, and so would masks/: leave --instances away.")
    files = by_stem(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    match_stems(files, {name: images[name] for name in files if name in images}, "image")
    return files


def _read(
    image: Path, mask: Path, instances: Path | None, settings: PrepareSettings, binary: bool
) -> list[tuple[str, OriginalPair]]:
    numbers = None if instances is None else object_numbers(read_mask(instances), str(instances))
    if settings.palette:
        ids = to_class_ids(read_image(mask, 3), settings.palette, settings.nearest_colour, str(mask))
    elif settings.instances:
        numbers = object_numbers(read_mask(mask), str(mask))
        ids = (numbers > 0).astype(np.uint8)
    else:
        values = read_mask(mask)
        ids = (values > 0 if binary else values).astype(np.uint8)
    return [("", OriginalPair(read_samples(image), ids, numbers))]
