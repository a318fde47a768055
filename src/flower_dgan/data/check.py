"""What data hold, and everything that is wrong with them, before any run."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from flower_dgan.config import DataConfig, PartitionConfig
from flower_dgan.data.check_folder import FolderCheck, check_folder
from flower_dgan.data.folder_files import FolderFiles
from flower_dgan.data.folder_scan import content_of
from flower_dgan.data.label_map_folder import read_foreign_label_maps
from flower_dgan.data.named_partition import NAMED
from flower_dgan.data.pairs import Entry, Pairs
from flower_dgan.data.partition import require_batch
from flower_dgan.data.source import open_source
from flower_dgan.data.splits import some, validation_groups
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.names import check_name, folded

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
    notes : tuple of str
        One sentence each: what no run stops at, and whoever made the data should see.
    files : mapping of str to FolderFiles
        Of a folder, what becomes of each file; empty for other sources.
    """

    train: tuple[Entry, ...]
    test: tuple[Entry, ...]
    sizes: Mapping[tuple[int, int], int]
    classes: int
    class_pixels: Mapping[int, int]
    lacking: Mapping[str, tuple[int, ...]]
    problems: tuple[str, ...]
    examples: Pairs
    notes: tuple[str, ...] = ()
    files: Mapping[str, FolderFiles] = field(default_factory=dict)


def check_data(
    config: DataConfig,
    *,
    examples: int = 4,
    track: Callable[[Sequence[str]], Iterable[str]] = iter,
    partition: PartitionConfig | None = None,
    batch_size: int = 1,
    validation_fraction: float = 0.0,
    tested: bool = True,
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
    partition : PartitionConfig or None
        As of a run; None where one client has all training pairs.
    batch_size : int
        Pairs that each client needs.
    validation_fraction : float
        Share of each client's groups that is held out of them, in [0, 1).
    tested : bool
        Whether a test split is needed, as it is not at a node; see :func:`~flower_dgan.data.source.open_source`.

    Raises
    ------
    ConfigError
        If the settings name something unknown or contradict each other: that is no fault of the data.
    DataError
        If there are no data to look at; for a source other than a folder, if anything in it is wrong.
    """
    if config.source == "folder":
        seen = config if config.target == "images" else replace(config, condition="label-map")
        found = check_folder(seen, lambda names: _spaced(names, examples), track, tested=tested)
    else:
        found = _check_source(config, examples, track)
    problems = [*found.problems, *_odd_sites(found.train)]
    try:
        read_foreign_label_maps(config)
    except DataError as error:
        problems.append(str(error))
    notes = (
        *found.notes,
        *_look_the_same(found.train, found.test),
        *_too_few(found.train, partition, batch_size, validation_fraction),
    )
    lacking = _lacking(config, found.train, found.classes, found.pixels)
    sizes = Counter(found.sizes)
    return DataCheck(
        found.train,
        found.test,
        sizes,
        found.classes,
        _summed(found.pixels),
        lacking,
        tuple(problems),
        found.examples,
        notes,
        found.files,
    )


def _check_source(config: DataConfig, examples: int, track: Callable[[Sequence[str]], Iterable[str]]) -> FolderCheck:
    source = open_source(config)
    entries = (*source.train, *source.test)
    pixels: dict[str, Mapping[int, int]] = {}
    held: dict[str, str] = {}
    trained = {entry.name for entry in source.train}
    twice = []
    for name, entry in zip(track([entry.name for entry in entries]), entries, strict=True):
        pair = source.load([entry])
        pixels[name] = dict(enumerate(np.bincount(pair.label_maps[0].ravel()).tolist()))
        if (content := content_of(pair.images[0])) is None:
            continue
        if name in trained:
            held[content] = name
        elif content in held:
            twice.append(name)
    shown = source.load(_spaced(entries, examples))
    notes = (
        [f"The test images {some(twice)} equal images of the training, pixel by pixel, so the test flatters the model."]
        if twice
        else []
    )
    sizes = [(entry.height, entry.width) for entry in entries]
    return FolderCheck(
        tuple(source.train), tuple(source.test), sizes, source.classes, pixels, [], notes, shown, files={}
    )


def _too_few(
    train: Sequence[Entry], partition: PartitionConfig | None, batch_size: int, validation_fraction: float
) -> Iterator[str]:
    """Say which clients could not fill a batch, with the batches that are set and where the clients are known."""
    parts: dict[str, list[Entry]] = {"all": list(train)}
    if partition is not None and partition.name in NAMED:
        try:
            names, clients = NAMED[partition.name](train, partition)
        except (ConfigError, DataError) as error:
            yield f"partition={partition.name} does not divide these data: {error}"
            return
        parts = {name: [] for name in names}
        for entry, client in zip(train, clients, strict=True):
            if client is not None:
                parts[names[client]].append(entry)
    held_out = validation_groups(filter(None, parts.values()), validation_fraction)
    for name, entries in parts.items():
        learned_from = [entry for entry in entries if entry.group not in held_out]
        try:
            require_batch(learned_from, batch_size, name, len(entries) - len(learned_from))
        except DataError as error:
            if train:
                yield str(error)


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


def _look_the_same(train: Sequence[Entry], test: Sequence[Entry]) -> Iterator[str]:
    """Say which sites, and which patients or scenes on both sides, differ in case or width of their letters alone."""
    sites = sorted({entry.site for entry in train})
    for first, second in _twins(sites, sites):
        yield f"Sites '{first}' and '{second}' differ in how they are written alone: if they are one, write both alike."
    for first, second in _twins(sorted({entry.group for entry in train}), sorted({entry.group for entry in test})):
        yield (
            f"'{first}' is in training and '{second}' in the test, which differ in how they are written alone: if they "
            "are one, write both alike, so that they are not on both sides."
        )


def _twins(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of different names that some file system takes for one; each but once if both lists are one."""
    known: dict[str, str] = {}
    for name in first:
        known.setdefault(folded(name), name)
    yield from ((known[folded(name)], name) for name in second if known.get(folded(name), name) != name)


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
