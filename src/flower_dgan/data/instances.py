"""The numbered objects of a folder, for scores of single objects."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flower_dgan.config import DataConfig
from flower_dgan.data.image_files import double_stems, list_files, read_mask, turned_by_exif
from flower_dgan.data.pairs import Entry, Pairs
from flower_dgan.errors import DataError


def without_numbers(config: DataConfig, names: Sequence[str]) -> frozenset[str]:
    """Return the pairs of a folder that ``instances/`` has no file for, by name; none where there is no such folder.

    Without one, the objects of all pairs are connected components of their masks.
    """
    if config.source != "folder" or config.root is None:
        return frozenset()
    folder = Path(config.root).expanduser() / "instances"
    return frozenset(names) - set(list_files(folder)) if folder.is_dir() else frozenset()


def with_instances(pairs: Pairs, config: DataConfig, entries: Sequence[Entry]) -> Pairs:
    """Return pairs with the objects that a folder has numbered in ``instances/`` beside ``images/`` and ``masks/``.

    Parameters
    ----------
    pairs : Pairs
        The pairs of ``entries``.
    config : DataConfig
        ``source`` and ``root``.
    entries : sequence of Entry
        In the same order.

    Returns
    -------
    Pairs
        As given where the source is no folder or there is no ``instances/``.

    Raises
    ------
    DataError
        The file of a pair is missing, doubled, unreadable or of another size.
    """
    if config.source != "folder" or config.root is None:
        return pairs
    folder = Path(config.root).expanduser() / "instances"
    if not folder.is_dir():
        return pairs
    files = list_files(folder)
    for problem in double_stems(files):
        raise DataError(problem)
    if missing := [entry.name for entry in entries if entry.name not in files]:
        raise DataError(
            f"{folder} lacks {missing[0]}, and {len(missing)} of the {len(entries)} test pairs in all: add them, or "
            "remove the folder to take connected components of the masks for objects."
        )
    instances = []
    for entry, label_map in zip(entries, pairs.label_maps, strict=True):
        (path,) = files[entry.name]
        ids = read_mask(path)
        if ids.shape != label_map.shape:
            raise DataError(
                f"{path} is {ids.shape[0]} x {ids.shape[1]} pixels, and its mask is {label_map.shape[0]} x "
                f"{label_map.shape[1]}: make them equal.{turned_by_exif([path])}"
            )
        instances.append(ids)
    return replace(pairs, instances=tuple(instances))
