"""The numbered objects of a folder, for scores of single objects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.config import DataConfig
from flower_dgan.data.image_files import read_mask, sound_files, turned_by_exif
from flower_dgan.data.lossy_files import lossy_format
from flower_dgan.data.object_files import KeptObjects, whole_objects
from flower_dgan.data.open_masks import single_pieces
from flower_dgan.data.overlap import misfit
from flower_dgan.data.pairs import Entry, Pairs, Pixels
from flower_dgan.errors import DataError


def without_numbers(config: DataConfig, names: Sequence[str]) -> frozenset[str]:
    """Return the pairs of a folder that ``instances/`` has no file for, by name; none where there is no such folder.

    Without one, the objects of all pairs are connected components of their masks.
    """
    if config.source != "folder" or config.root is None:
        return frozenset()
    folder = Path(config.root).expanduser() / "instances"
    if whole_objects(folder.parent):  # which are an error where they are missing
        return frozenset()
    return frozenset(names) - set(sound_files(folder)) if folder.is_dir() else frozenset()


def with_instances(pairs: Pairs, config: DataConfig, entries: Sequence[Entry]) -> Pairs:
    """Return pairs with the objects that a folder numbers: in ``instances/``, or in masks with ``data.masks=objects``.

    Where a folder keeps objects whole, so that they may overlap, a pixel has the number of the last that lies on it.

    Parameters
    ----------
    pairs : Pairs
        The pairs of ``entries``.
    config : DataConfig
        ``source``, ``root`` and ``masks``.
    entries : sequence of Entry
        In the same order.

    Returns
    -------
    Pairs
        As given where the source is no folder, or nothing numbers its objects.

    Raises
    ------
    DataError
        The file of a pair is missing, doubled, unreadable, of another size, does not keep its values, or does not fit
        the mask; or most numbers are no objects.
    """
    if config.source != "folder" or config.root is None:
        return pairs
    root = Path(config.root).expanduser()
    if whole_objects(root):
        objects = KeptObjects(root).fitting(
            [entry.name for entry in entries], pairs.label_maps, mask_classes(pairs, config)
        )
        return replace(pairs, instances=tuple(each.numbers() for each in objects))
    folder = root / "instances"
    if not folder.is_dir():
        if config.masks != "objects":
            return pairs
        folder = root / "masks"
    files = sound_files(folder)
    if missing := [entry.name for entry in entries if entry.name not in files]:
        raise DataError(
            f"{folder} lacks {missing[0]}, and {len(missing)} of the {len(entries)} test pairs in all: add them, or "
            "remove the folder to take connected components of the masks for objects."
        )
    numbers = {}
    for entry, label_map in zip(entries, pairs.label_maps, strict=True):
        path = files[entry.name]
        numbers[path] = read_numbers(path, label_map, pairs.classes)
    if doubt := no_objects({path: single_pieces(each) for path, each in numbers.items()}):
        raise DataError(doubt)
    return replace(pairs, instances=tuple(numbers.values()))


def mask_classes(pairs: Pairs, config: DataConfig) -> int:
    """Return how many classes the masks of pairs have; 1, which is none, where label maps are not the masks."""
    return pairs.classes if config.condition == "label-map" else 1


def read_numbers(path: Path, label_map: Pixels, classes: int) -> NDArray[np.integer[Any]]:
    """Read the numbers of the objects of a pair.

    Parameters
    ----------
    path : Path
        Its file in ``instances/``.
    label_map : uint8 array (height, width)
        Class ids of the mask.
    classes : int
        How many there are. Of two, all foreground is numbered; of more, some classes need have no objects.

    Returns
    -------
    int array (height, width)
        0 for no object.

    Raises
    ------
    DataError
        If the file cannot be used, or does not fit the mask.
    """
    numbers = read_mask(path)
    if numbers.shape != label_map.shape:
        raise DataError(
            f"{path} is {numbers.shape[0]} x {numbers.shape[1]} pixels, and its mask is {label_map.shape[0]} x "
            f"{label_map.shape[1]}: make them equal.{turned_by_exif([path])}"
        )
    if numbers.any() and (lossy := lossy_format(path)):
        raise DataError(f"{path} numbers objects as {lossy}, which invents numbers: save it as PNG, from the original.")
    if numbers.min() < 0:
        raise DataError(f"{path} has the number {numbers.min()}: those of objects are 1 and more, and 0 is none.")
    foreground = label_map > 0
    if (number := _numbered_background(numbers, foreground)) is not None:
        raise DataError(f"{path} gives the background the number {number}, as its mask has it: make it 0.")
    if problem := misfit(numbers > 0, foreground, all_numbered=classes == 2):
        raise DataError(f"{path} {problem}")
    return numbers


def no_objects(pieces: Mapping[Path, tuple[int, int]]) -> str | None:
    """Say that most numbers of some files are no objects, if that is so, as they lie in several pieces each.

    Parameters
    ----------
    pieces : mapping of Path to (int, int)
        What :func:`~flower_dgan.data.open_masks.single_pieces` returns of each file.
    """
    ids, single = (sum(counts[which] for counts in pieces.values()) for which in (0, 1))
    if 2 * single >= ids:
        return None
    first = next(path for path, (ids, single) in pieces.items() if single < ids)
    return (
        f"Only {single:,} of {ids:,} numbers in {first.parent} are one connected piece, so they number no objects, and "
        f"{first} is an example: give each object a number of its own, or leave numbers out to take connected "
        "components of the masks for objects."
    )


def _numbered_background(numbers: NDArray[np.integer[Any]], foreground: NDArray[np.bool_]) -> int | None:
    """Return the number that most of the mask's background has, if one has it."""
    outside = numbers[(numbers > 0) & ~foreground]
    if len(outside) <= (~foreground).sum() / 2:
        return None
    found, counts = np.unique(outside, return_counts=True)
    return int(found[counts.argmax()]) if counts.max() > len(outside) / 2 else None
