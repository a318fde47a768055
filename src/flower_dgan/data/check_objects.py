"""Objects that a folder keeps whole, held against its images: how many, how long, how many overlap or are in pieces."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.centre_lines import length, lines_of
from flower_dgan.data.check_instances import InstancesCheck
from flower_dgan.data.folder_scan import FolderScan
from flower_dgan.data.folder_source import read_label_map
from flower_dgan.data.object_files import FILE, KeptObjects
from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.errors import DataError

_TOUCHING = np.ones((3, 3), bool)
_LINE_POINTS = 64


def check_objects(scan: FolderScan, test: Sequence[str]) -> InstancesCheck:
    """Look at the objects of each pair.

    Parameters
    ----------
    scan : FolderScan
        Of a folder of which :func:`~flower_dgan.data.object_files.whole_objects` is true.
    test : sequence of str
        The names of the test pairs, which need objects; those of the others no run reads.
    """
    try:
        kept = KeptObjects(scan.root)
    except DataError as error:
        return InstancesCheck((), (str(error),), ())
    found: dict[str, ObjectMasks] = {}
    problems: list[str] = []
    lacking = 0
    tested = set(test)
    for name, pair in scan.pairs.items():
        if name not in kept.there and name not in tested:
            lacking += 1
            continue
        try:
            classes = scan.classes if pair.mask else 1
            (found[name],) = kept.fitting([name], [read_label_map(pair, scan.binary)], classes)
        except DataError as error:
            problems.append(str(error))
    notes = [_described(list(found.values()))] if found else []
    if lacking:
        notes.append(f"{lacking:,} training pairs have no objects, which no run needs.")
    return InstancesCheck(tuple(_used(kept, found)), tuple(dict.fromkeys(problems)), tuple(notes))


def _described(found: Sequence[ObjectMasks]) -> str:
    crowds = sum(int(objects.in_crowds.sum()) for objects in found)
    beside = f" {crowds:,} crowds stand for objects that nobody told apart." if crowds else ""
    found = [objects.without_crowds() for objects in found]
    counts = [len(objects) for objects in found]
    total = sum(counts)
    if not total:
        return f"No object in {len(found):,} pairs.{beside}"
    overlapping = sum(int(objects.overlapping().sum()) for objects in found)
    regions = (region for objects in found for region in objects.regions)
    pieces = sum(ndimage.label(region.pixels, _TOUCHING)[1] > 1 for region in regions)
    lengths = sorted(length(line) for objects in found for line in lines_of(objects, _LINE_POINTS))
    return (
        f"{total:,} objects in {len(found):,} pairs, {min(counts)} to {max(counts)} a pair: {overlapping:,} "
        f"({overlapping / total:.0%}) share pixels with another, {pieces:,} are in pieces. Their centre lines are from "
        f"{lengths[0]:.0f} to {lengths[-1]:.0f} pixels long, half of them {np.median(lengths):.0f} or more.{beside}"
    )


def _used(kept: KeptObjects, found: Iterable[str]) -> list[Path]:
    return [kept.there[name] for name in found if kept.there[name].name != FILE]
