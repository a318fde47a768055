"""Which runs are watched: the page names them by keys of what is listed here, never by paths."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flower_dgan.errors import DataError
from flower_dgan.printable import printable

_MARKS = ("training.json", "metrics.jsonl")
_DEEPEST = 3  # folders between what is named and a run; a sweep has one or two
_MOST_RUNS = 2_000


@dataclass(frozen=True)
class Place:
    """A run that is watched.

    Attributes
    ----------
    key : str
        What the page calls it: 16 hexadecimal digits of a hash, in which nothing of a path can be written.
    name : str
        Its directory from the watched one, as it may be shown.
    path : Path
        Its directory.
    """

    key: str
    name: str
    path: Path


def find_runs(target: Path) -> Mapping[str, Place]:
    """List the runs of a run directory, a sweep directory, or a folder of either.

    Parameters
    ----------
    target : Path
        The directory. Links in it are not followed, so that what is listed lies inside.

    Returns
    -------
    mapping of str to Place
        By key, in the order of their names; at most 2,000.

    Raises
    ------
    DataError
        If there is no such directory.
    """
    if not target.is_dir():
        raise DataError(f"There is no directory {printable(str(target), None)}: name that of a run, a sweep, or runs.")
    root = target.resolve()
    found = {}
    for path in sorted(_runs_in(root, _DEEPEST))[:_MOST_RUNS]:
        inside = str(path.relative_to(root)) if path != root else path.name
        key = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
        found[key] = Place(key, printable(inside), path)
    return found


def _runs_in(folder: Path, depth: int) -> Iterator[Path]:
    try:
        is_run = any((folder / mark).is_file() for mark in _MARKS)
        look = depth and not is_run
        inside = [each.path for each in os.scandir(folder) if each.is_dir(follow_symlinks=False)] if look else []
    except OSError:  # one that this user may not enter is none of theirs
        return
    if is_run:
        yield folder
    for each in inside:
        yield from _runs_in(Path(each), depth - 1)
