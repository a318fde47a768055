"""Partitions that make a certain number of clients, whose names the data or the settings give."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from flower_dgan.config import PartitionConfig
from flower_dgan.data.pairs import Entry
from flower_dgan.data.splits import some
from flower_dgan.data.tables import read_table
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.names import LONGEST_NAME, check_name

Named = tuple[tuple[str, ...], list[int | None]]
"""The names of clients 0, 1, ..., and the client of each pair; None for a pair that is not used."""


def by_site(entries: Sequence[Entry], _config: PartitionConfig) -> Named:
    """Make one client a site, in alphabetical order; raises DataError where a site is no name of a client."""
    return _in_order([entry.site for entry in entries], "The site")


def by_file(entries: Sequence[Entry], config: PartitionConfig) -> Named:
    """Make the clients that the CSV file names, in alphabetical order.

    Raises
    ------
    DataError
        If it cannot be read, does not name every pair once and nothing else, or a client's name is none.
    """
    path = Path(config.file or "").expanduser().absolute()
    names = [entry.name for entry in entries]
    rows = read_table(path, names, ("client",), "partition.file")
    if foreign := set(rows) - set(names):
        raise DataError(
            f"partition.file: {path} has rows for {some(foreign)}, which are no training pairs (which are: "
            f"{some(names)}): remove them."
        )
    return _in_order([rows[name]["client"] for name in names], f"partition.file: {path}: the client")


def by_label_group(entries: Sequence[Entry], config: PartitionConfig) -> Named:
    """Make one client a group of labels, in the order of the groups.

    Raises
    ------
    ConfigError
        If the groups overlap, are empty, or do not fit the data.
    """
    groups = config.label_groups
    if not groups or not all(groups):
        raise ConfigError(f"partition.label_groups={list(map(list, groups))} has a client without labels: give it one.")
    given = [label for group in groups for label in group]
    if twice := {str(label) for label in given if given.count(label) > 1}:
        raise ConfigError(f"partition.label_groups names label {some(twice)} twice: each label belongs to one client.")
    known = {entry.label for entry in entries}
    if absent := set(given) - known:
        raise ConfigError(
            f"partition.label_groups names label {some(map(str, absent))}, which no training image has; "
            f"known: {', '.join(map(str, sorted(known)))}."
        )
    client_of = {label: index for index, group in enumerate(groups) for label in group}
    return tuple(_labels_name(group) for group in groups), [client_of.get(entry.label) for entry in entries]


NAMED: Mapping[str, Callable[[Sequence[Entry], PartitionConfig], Named]] = MappingProxyType(
    {"site": by_site, "label": by_label_group, "csv": by_file}
)


def _in_order(name_of: Sequence[str], what: str) -> Named:
    names = tuple(sorted({check_name(name, DataError, what) for name in set(name_of)}))
    number = {name: index for index, name in enumerate(names)}
    return names, [number[name] for name in name_of]


def _labels_name(group: Sequence[int]) -> str:
    labels = sorted(group)
    if len(labels) == 1:
        return f"label {labels[0]}"
    if labels == list(range(labels[0], labels[-1] + 1)):
        return f"labels {labels[0]}-{labels[-1]}"
    all_of_them = f"labels {','.join(map(str, labels))}"
    # No two groups share a label, so that the first one tells which it is.
    return all_of_them if len(all_of_them) <= LONGEST_NAME else f"labels {labels[0]} and {len(labels) - 1} more"
