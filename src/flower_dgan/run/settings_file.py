"""The settings of a run, flat, as its directory holds them: it may be another user's, and is read with care."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from flower_dgan.run.regular_file import open_regular

_LARGEST = 2**18  # bytes; a configuration has some thousand
_LONGEST_NAME, _LONGEST_VALUE = 200, 1_000  # characters
_MOST = 2_000
_WHOLE = 2**63  # the largest integers that databases of trackers hold are smaller

Settings = Mapping[str, str | int | float | bool]
"""The settings of a run by their dotted names, as Hydra takes them."""


class _Loader(yaml.SafeLoader):
    """Reads no aliases: no run writes any, and a few of aliases make a value of gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)


def settings_of(run: Path) -> Settings:
    """Return the settings of a run by their dotted names; none where its file is missing or damaged.

    At most 2,000 are returned, long ones cut off; what is no number and no truth value is text.
    """
    try:
        with open_regular(run / "config.yaml") as file:
            found = yaml.load(file.read(_LARGEST).decode("utf-8"), _Loader)
        return dict(list(_flat(found, ""))[:_MOST]) if isinstance(found, dict) else {}
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError):
        return {}


def _flat(values: dict[Any, Any], before: str) -> Iterator[tuple[str, str | int | float | bool]]:
    for name, value in values.items():
        full = f"{before}{name}"[:_LONGEST_NAME]
        if isinstance(value, dict):
            yield from _flat(value, f"{full}.")
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) < _WHOLE):
            yield full, value
        else:
            yield full, str(value)[:_LONGEST_VALUE]
