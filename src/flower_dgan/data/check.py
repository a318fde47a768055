"""What data hold, and everything that is wrong with them, before any run."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from flower_dgan.config import DataConfig
from flower_dgan.data.folder_scan import scan_folder
from flower_dgan.data.folder_source import divide_folder, read_pairs
from flower_dgan.data.image_files import unread_pictures
from flower_dgan.data.pairs import Entry, Pairs
from flower_dgan.data.source import open_source
from flower_dgan.errors import DataError
from flower_dgan.names import check_name

Item = TypeVar("Item")


@dataclass(frozen=True)
class DataCheck:
    """What was found.

    Attributes
    ----------
    train, test : tuple of Entry
        The pairs of the two splits that can be used; both empty where they cannot be divided.
    sizes : mapping of (int, int) to int
        How many usable pairs have each height and width.
    classes : int
        ``data.classes``, or where that is not set what is found.
    class_pixels : mapping of int to int
        How many pixels of all usable label maps belong to each class.
    lacking : mapping of str to tuple of int
        Of each site that lacks some of the classes in training, which.
    problems : tuple of str
        One sentence each: what is wrong with which file, and what to do.
    examples : Pairs
        A few pairs, evenly spaced.
    """

    train: tuple[Entry, ...]
    test: tuple[Entry, ...]
    sizes: Mapping[tuple[int, int], int]
    classes: int
    class_pixels: Mapping[int, int]
    lacking: Mapping[str, tuple[int, ...]]
    problems: tuple[str, ...]
    examples: Pairs


def check_data(
    config: DataConfig, *, examples: int = 4, track: Callable[[Sequence[str]], Iterable[str]] = iter
) -> DataCheck:
    """Read all data of a source, the images of a folder whole too.

    Parameters
    ----------
    config : DataConfig
        As of a run.
    examples : int
        How many pairs to return.
    track : callable
        Is given the names of pairs and yields them again, one when the one before is read; for a progress bar.

    Raises
    ------
    ConfigError
        If the settings name something unknown or contradict each other: that is no fault of the data.
    DataError
        If there are no data to look at; for a source other than a folder, if anything in it is wrong.
    """
    if config.source == "folder":
        return _check_folder(config, examples, track)
    source = open_source(config)
    entries = (*source.train, *source.test)
    pixels: dict[str, Mapping[int, int]] = {}
    for name, entry in zip(track([entry.name for entry in entries]), entries, strict=True):
        (label_map,) = source.load([entry]).label_maps
        pixels[name] = dict(enumerate(np.bincount(label_map.ravel()).tolist()))
    shown = source.load(_spaced(entries, examples))
    sizes = Counter((entry.height, entry.width) for entry in entries)
    lacking = _lacking(config, source.train, source.classes, pixels)
    problems = tuple(_odd_sites(source.train))
    return DataCheck(
        tuple(source.train), tuple(source.test), sizes, source.classes, _summed(pixels), lacking, problems, shown
    )


def _check_folder(config: DataConfig, examples: int, track: Callable[[Sequence[str]], Iterable[str]]) -> DataCheck:
    scan = scan_folder(config, read_pixels=True, track=track)
    problems = (*scan.problems, *_unread(scan.root))
    train: tuple[Entry, ...] = ()
    test: tuple[Entry, ...] = ()
    try:
        train, test = divide_folder(scan, config)
    except DataError as error:
        problems += (str(error),)
    problems += tuple(_odd_sites(train))
    shown = read_pairs(scan, _spaced(list(scan.pairs), examples), config.channels)
    sizes = Counter((pair.height, pair.width) for pair in scan.pairs.values())
    pixels = {
        name: {int(value > 0) if scan.binary else value: count for value, count in pair.values.items()}
        for name, pair in scan.pairs.items()
    }
    lacking = _lacking(config, train, scan.classes, pixels)
    return DataCheck(train, test, sizes, scan.classes, _summed(pixels), lacking, problems, shown)


def _unread(root: Path) -> Iterator[str]:
    """Say how many pictures a run would leave out, folder by folder."""
    for folder in (root / "images", root / "masks"):
        if folder.is_dir() and (files := unread_pictures(folder)):
            others = f" nor {len(files) - 1:,} more of other formats there" if len(files) > 1 else ""
            yield f"No run reads {files[0]}{others}: save as PNG what belongs to the data, and remove the rest."


def _summed(pixels: Mapping[str, Mapping[int, int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for counts in pixels.values():
        total.update(counts)
    return total


def _lacking(
    config: DataConfig, train: Sequence[Entry], classes: int, pixels: Mapping[str, Mapping[int, int]]
) -> dict[str, tuple[int, ...]]:
    """Return the classes of masks that none of a site's training pairs has, for each site where there are any."""
    if config.condition != "label-map":
        return {}
    held: dict[str, set[int]] = {}
    for entry in train:
        held.setdefault(entry.site, set()).update(k for k, count in pixels[entry.name].items() if count)
    lacking = {site: tuple(sorted(set(range(classes)) - found)) for site, found in sorted(held.items())}
    return {site: missing for site, missing in lacking.items() if missing}


def _odd_sites(train: Iterable[Entry]) -> Iterator[str]:
    """Say which sites could not be clients, as which partition=site takes them."""
    for site in sorted({entry.site for entry in train}):
        try:
            check_name(site, DataError, "The site, which partition=site makes a client of")
        except DataError as error:
            yield str(error)


def _spaced(items: Sequence[Item], count: int) -> list[Item]:
    """Take that many items, evenly spaced and with the first and last."""
    chosen = np.linspace(0, len(items) - 1, count).round() if items else np.zeros(0)
    return [items[index] for index in np.unique(chosen.astype(int))]
