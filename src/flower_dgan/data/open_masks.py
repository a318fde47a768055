"""Masks that can be read in more ways than one, so that whoever made them has to say what they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.border_ids import border_ids
from flower_dgan.data.image_files import read_mask
from flower_dgan.data.plain_values import read_json

_CONNECTED = np.ones((3, 3), bool)  # diagonal neighbours belong together
# So many ids of one piece each are rarely classes, however they are numbered.
_MANY = 4
# An edge of a tile may cut an object into two.
_ALMOST_ALL = 0.9
_MOST_MASKS = 50


def left_open(values: Mapping[Path, Mapping[int, int]], classes: int, *, of_command: bool = False) -> str | None:
    """Say what masks of ids leave open, and which setting would decide it; None if they can be read in one way only.

    What is in doubt is whether ids are classes at all or number objects, and whether a class is one or was invented by
    interpolation. ``data.classes`` or ``data.masks`` decides both, and then there is nothing to ask.

    Parameters
    ----------
    values : mapping of Path to mapping
        How many pixels of each mask hold each value; class ids below 64. Of those with two ids or more beside 0, 50
        are read, evenly spaced.
    classes : int
        The highest id + 1.
    of_command : bool
        Whether it is an option that would say it, ``--masks``, rather than the settings of a run.
    """
    by = "--masks " if of_command else "set data.masks="
    as_classes = "--masks classes" if of_command else f"set data.classes={classes}"
    several = {path: counts for path, counts in values.items() if len(set(counts) - {0}) > 1}
    looked_at = _spaced(list(several), _MOST_MASKS)
    if not looked_at:
        return None
    others = f" and {len(several) - 1:,} more" if len(several) > 1 else ""
    if _count_on(list(values.values())) and _of_one_piece(looked_at):
        return (
            f"{looked_at[0]}{others} look as if their values number objects, as almost each is one connected piece. If "
            f"they do: {by}objects, or keep the numbers as well by flower-dgan data prepare folder --instances. If "
            f"they are classes: {as_classes}."
        )
    looked_through = {path: each for path, each in values.items() if path not in several or path in set(looked_at)}
    for number, paths in border_ids(looked_through).items():
        others = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        return (
            f"{paths[0]}{others} hold class {number} only as a border between a lower and a higher id, as "
            "interpolation invents it: save masks as they were before, or resized without interpolation. If it is a "
            f"class: {as_classes}."
        )
    return None


def told_by_preparation(folder: Path) -> bool:
    """Return whether a folder was made from masks of classes: a public data set's, or some that were said to be."""
    try:
        about = read_json(folder / "prepared.json")
        return bool(about["dataset"] != "folder" or any(map(about["settings"].get, ("masks", "palette", "class_maps"))))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # none, or one of somebody else's
        return False


def _count_on(masks: Sequence[Mapping[int, int]]) -> bool:
    """Return whether ids count from 1 on in almost each mask, as objects are numbered, or are many in any case."""
    ids = [set(counts) - {0} for counts in masks if set(counts) != {0}]
    counted = sum(max(each) == len(each) for each in ids)
    return counted >= _ALMOST_ALL * len(ids) or max(map(len, ids)) >= _MANY


def _of_one_piece(masks: Sequence[Path]) -> bool:
    """Return whether almost each id of some masks is a single connected piece: those of a class are many."""
    ids = single = 0
    for path in masks:
        found, whole = single_pieces(read_mask(path))
        ids, single = ids + found, single + whole
    return single >= _ALMOST_ALL * ids


def single_pieces(numbers: NDArray[np.integer[Any]]) -> tuple[int, int]:
    """Count the numbers of a mask from 1 on, and those of them that are one connected piece."""
    present, places = np.unique(numbers, return_inverse=True)
    windows = ndimage.find_objects(places.reshape(numbers.shape) + int(present[0] > 0))
    objects = present[present > 0]
    single = sum(
        ndimage.label(numbers[window] == number, _CONNECTED)[1] == 1
        for number, window in zip(objects, windows, strict=True)
    )
    return len(objects), single


def _spaced(items: Sequence[Path], count: int) -> list[Path]:
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).round() if items else np.zeros(0)
    return [items[index] for index in np.unique(chosen.astype(int))]
