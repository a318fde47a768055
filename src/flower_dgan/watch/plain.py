"""Values as strict JSON, whatever a file of measurements held."""

import json
import math
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
