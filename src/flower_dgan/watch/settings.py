"""The settings of a run, flat, as its directory holds them."""

from pathlib import Path
from typing import Any

import yaml

from flower_dgan.run.regular_file import open_regular

_LARGEST = 2**18  # bytes; a configuration has some thousand
_LONGEST_NAME, _LONGEST_VALUE = 200, 1_000  # characters that are shown
_MOST = 2_000


class _Loader(yaml.SafeLoader):
    """Reads no aliases: no run writes any, and a few of aliases make a value of gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)


def settings_of(run: Path) -> dict[str, str]:
    """Return the settings of a run by their dotted names; none where its file is missing or damaged.

    The directory may be another user's: at most 2,000 settings are shown, long ones cut off.
    """
    try:
        with open_regular(run / "config.yaml") as file:
            found = yaml.load(file.read(_LARGEST).decode("utf-8"), _Loader)
        return dict(_flat(found, "")[:_MOST]) if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}


def _flat(values: dict[Any, Any], before: str) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in values.items():
        full = f"{before}{name}"[:_LONGEST_NAME]
        flat += _flat(value, f"{full}.") if isinstance(value, dict) else [(full, str(value)[:_LONGEST_VALUE])]
    return flat
