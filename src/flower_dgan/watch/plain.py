"""Values as strict JSON, whatever a file of measurements held."""

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return a value with None for every number that is not finite, as browsers read no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def to_json(value: Any) -> str:
    """Return a value as JSON of ASCII letters in one line."""
    return json.dumps(plain(value), separators=(",", ":"), allow_nan=False)


def number(value: Any) -> float:
    """Return a finite number of a file of measurements; raises TypeError or ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    try:
        if math.isfinite(value):
            return float(value)
    except OverflowError as error:  # a whole number of some hundred digits
        raise ValueError("no such number") from error
    raise ValueError("not finite")


def round_number(fields: Mapping[str, Any]) -> int:
    """Return the round of an event; raises KeyError, TypeError or ValueError where it has none."""
    found = fields["round"]
    if isinstance(found, bool) or not isinstance(found, int):
        raise TypeError("no round")
    if not 0 <= found < 10**9:
        raise ValueError("no such round")
    return found
