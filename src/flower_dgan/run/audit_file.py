"""What an audit wrote into a run's directory, as rows of a table; read like anybody's file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flower_dgan.run.regular_file import open_regular

FILE = "audit.json"
COLUMNS = ("attack", "figure", "value", "95 % interval", "at most", "refused by", "verdict")
_LARGEST = 2**20  # bytes
_MOST, _LONGEST = 200, 400  # rows, and characters of a cell


def read_audit(directory: Path) -> dict[str, Any] | None:
    """Return what ``audit.json`` of a run's directory holds; None where it is missing or damaged."""
    try:
        with open_regular(directory / FILE) as file:
            found = json.loads(file.read(_LARGEST))
        return found if isinstance(found, dict) and isinstance(found.get("findings"), list) else None
    except (OSError, ValueError, RecursionError):
        return None


def audit_rows(audit: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of :data:`COLUMNS`, as text."""
    found = [_row(each) for each in audit["findings"][:_MOST] if isinstance(each, Mapping)]
    return [tuple(cell[:_LONGEST] for cell in row) for row in found]


def shown_audit(directory: Path) -> dict[str, Any] | None:
    """Return what a page shows of it: ``policy``, ``holds``, ``columns`` and ``rows``; None where there is none."""
    audit = read_audit(directory)
    if audit is None:
        return None
    policy, holds = str(audit.get("policy", ""))[:_LONGEST], audit.get("holds") is True
    return {
        "policy": policy,
        "holds": holds,
        "columns": list(COLUMNS),
        "rows": [list(row) for row in audit_rows(audit)],
    }


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    interval = (found.get("low"), found.get("high"))
    shown = " to ".join(_number(each) for each in interval) if None not in interval else ""
    refused = found.get("refused")
    rules = ", ".join(map(str, refused)) if isinstance(refused, Sequence) and not isinstance(refused, str) else ""
    said = str(found.get("said", ""))
    return (
        str(found.get("attack", "")),
        str(found.get("figure", "")),
        _number(found.get("value")),
        shown,
        _number(found.get("allowed")),
        rules,
        f"{'holds' if found.get('holds') is True else 'BROKEN'}: {said}",
    )


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""
