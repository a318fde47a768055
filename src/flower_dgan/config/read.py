"""Settings from plain values, name by name and type by type: nothing in them is looked up, opened or run."""

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar

from flower_dgan.config import ImportPath
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.plugins import check_import_path, is_import_path

ConfigT = TypeVar("ConfigT")


def read_settings(kind: type[ConfigT], values: Any, path: str = "") -> ConfigT:
    """Build a dataclass of settings from a mapping of its names, all that have no default; raises ConfigError.

    A value that is a dataclass of settings already stays as it is. ``path`` is what the names begin with in messages.
    """
    return _read(kind, values, path)


def _read(kind: type[ConfigT], values: Any, path: str) -> ConfigT:
    """Build a configuration dataclass, checking every name and type."""
    if not isinstance(values, dict):
        raise ConfigError(f"{path.rstrip('.')}{'=' if path else ''}{str(values)[:80]!r} is no list of settings.")
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise ConfigError(unknown_name("setting", f"{path}{name}", [f"{path}{known}" for known in hints]))
    missing = [f"{path}{field.name}" for field in fields(kind) if field.name not in values and field.default is MISSING]  # type: ignore[arg-type]
    if missing:
        raise ConfigError(f"The configuration lacks {', '.join(missing)}.")
    return kind(**{name: _value(hints[name], value, f"{path}{name}") for name, value in values.items()})


def _value(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        return _read(hint, value, f"{path}.")  # type: ignore[arg-type]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(unknown_name(path, str(value), arguments))
        return value
    if ImportPath in arguments and isinstance(value, str) and is_import_path(value):
        check_import_path(value, path)
        return value
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _value(arguments[0], value, path)
    if origin is tuple:
        if not isinstance(value, list) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise ConfigError(f"{path}={value!r} is no list of the right length.")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_value(kind, entry, path) for kind, entry in zip(kinds, value, strict=True))
    if hint is float and type(value) is int:
        return float(value)
    if hint is float and value != value:
        raise ConfigError(f"{path}=nan is no number.")
    if type(value) is not hint:
        raise ConfigError(f"{path}={value!r} is of type {type(value).__name__}, not {hint.__name__}.")
    return value
