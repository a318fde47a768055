"""The settings of a run, flat, as its directory holds them."""

from pathlib import Path
from typing import Any

import yaml

_LARGEST = 2**20  # bytes


def settings_of(run: Path) -> dict[str, str]:
    """Return the settings of a run by their dotted names; none where its file is missing or damaged."""
    try:
        with (run / "config.yaml").open(encoding="utf-8") as file:
            found = yaml.safe_load(file.read(_LARGEST))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return dict(_flat(found, "")) if isinstance(found, dict) else {}


def _flat(values: dict[Any, Any], before: str) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in values.items():
        flat += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", str(value))]
    return flat
