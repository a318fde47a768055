"""Where each image of a folder comes from: split, site and group, from its name or from a table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flower_dgan.config import DataConfig
from flower_dgan.data.name_template import as_expression, is_template, propose
from flower_dgan.data.splits import some
from flower_dgan.data.tables import read_table
from flower_dgan.data.text_files import same_value
from flower_dgan.errors import ConfigError, DataError, unknown_name
from flower_dgan.printable import printable

FIELDS = ("split", "site", "group")
ONLY_SITE = "all"


@dataclass(frozen=True)
class Origin:
    """Where one image comes from.

    Attributes
    ----------
    split : str or None
        As the data give it; None where they do not.
    site, group : str
        The hospital or region, and the patient or scene.
    """

    split: str | None
    site: str
    group: str


def read_origins(names: Sequence[str], root: Path, config: DataConfig) -> dict[str, Origin]:
    """Find split, site and group of each image.

    Parameters
    ----------
    names : sequence of str
        File stems.
    root : Path
        Folder that a relative ``config.table`` starts from.
    config : DataConfig
        ``name_pattern``, a template or a regular expression, or ``table``; with neither, all images are of one site
        ``all``.

    Returns
    -------
    dict of str to Origin
        One for each name. Without a group, each image is a group of its own.

    Raises
    ------
    ConfigError
        If both a pattern and a table are given, or the pattern is invalid.
    DataError
        If a name does not match the pattern, or the table is unreadable, malformed or lacks a name.
    """
    if config.name_pattern is not None and config.table is not None:
        raise ConfigError("data.name_pattern and data.table are both given: set one of them to null.")
    if config.name_pattern is not None:
        found = _from_pattern(names, config.name_pattern)
    elif config.table is not None:
        found = read_table(root / Path(config.table).expanduser(), names, FIELDS, "data.table")
    else:
        found = {name: {} for name in names}
    return {
        name: Origin(found[name].get("split"), found[name].get("site", ONLY_SITE), found[name].get("group", name))
        for name in names
    }


def rows_without_image(names: Sequence[str], root: Path, config: DataConfig) -> list[str]:
    """Return the names of ``data.table`` that no image has, which no run reads; raises as :func:`read_origins`."""
    if config.table is None:
        return []
    found = read_table(root / Path(config.table).expanduser(), names, FIELDS, "data.table")
    there = set(names)
    return [name for name in found if name not in there]


def _from_pattern(names: Sequence[str], pattern: str) -> Mapping[str, Mapping[str, str]]:
    try:
        expression = re.compile(as_expression(pattern) if is_template(pattern) else pattern)
    except re.error as error:
        raise ConfigError(f"data.name_pattern={pattern!r} is not a regular expression: {error}.") from error
    for field in expression.groupindex:
        if field not in FIELDS:
            raise ConfigError(f"{unknown_name('named group of data.name_pattern', field, FIELDS)}")
    if not expression.groupindex:
        raise ConfigError(
            f"data.name_pattern={pattern!r} says nothing of an image: write a template such as "
            "{site}_{patient}_{*}, a regular expression with any of (?P<split>...), (?P<site>...) and (?P<group>...), "
            "or null."
        )
    matches = {name: expression.fullmatch(name) for name in names}
    found = {
        name: {field: same_value(value) for field, value in match.groupdict().items()}
        for name, match in matches.items()
        if match and all(match.groupdict().values())
    }
    if odd := [name for name in names if name not in found]:
        others = f" Nor do {some(odd[1:])}." if odd[1:] else ""
        proposed = propose(names)
        fits = f" All names would fit data.name_pattern={proposed}." if proposed else ""
        raise DataError(
            f"The file name '{printable(odd[0])}' does not match data.name_pattern={pattern!r} with a value for each "
            "group: set data.name_pattern to a template such as {site}_{patient}_{*}, or data.table to a CSV file, or "
            "data.name_pattern=null for one site."
            f"{fits}{others}"
        )
    return found
