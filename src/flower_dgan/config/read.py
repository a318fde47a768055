"""Settings from plain values, name by name and type by type: nothing in them is looked up, opened or run."""

import typing
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from flower_dgan.config.refusal import refusal, shown
from flower_dgan.errors import ConfigError, unknown_name

SettingsT = TypeVar("SettingsT")


def read_settings(kind: type[SettingsT], values: Any, path: str = "") -> SettingsT:
    """Build a dataclass of settings.

    Parameters
    ----------
    kind : type
        A dataclass, whose fields are dataclasses or annotated with :mod:`flower_dgan.config.ranges`.
    values : mapping, or instance of ``kind``
        All of its fields that have no default, lists for tuples. A field that is a dataclass may be an instance of it,
        or of a class that derives from it: what is built already is not read again.
    path : str
        Where the settings stand among others, with a dot at its end, such as ``"algorithm."``; for messages.

    Raises
    ------
    ConfigError
        If a name is unknown or missing, or a value is of another type.
    RangeError
        If a value is out of its range.
    """
    if isinstance(values, kind):
        return values
    if not isinstance(values, dict):
        name = f"{path.removesuffix('.')}=" if path else ""
        raise ConfigError(f"{name}{shown(values)} is no list of settings.")
    hints = typing.get_type_hints(kind, include_extras=True)
    for name in values:
        if name not in hints:
            raise ConfigError(unknown_name("setting", f"{path}{name}", [f"{path}{known}" for known in hints]))
    missing = [f"{path}{field.name}" for field in fields(kind) if field.name not in values and field.default is MISSING]  # type: ignore[arg-type]
    if missing:
        raise ConfigError(f"The configuration lacks {', '.join(missing)}.")
    return kind(**{name: _value(hints[name], value, f"{path}{name}") for name, value in values.items()})


def _value(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint):
        return read_settings(hint, value, f"{path}.")  # type: ignore[arg-type]
    given = _tuples(value)
    try:
        return _adapter(hint).validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise refusal(hint, given, path, first["type"], first["loc"]) from None


@lru_cache(maxsize=256)  # a type is made ready once, and many fields share one
def _adapter(hint: Any) -> TypeAdapter[Any]:
    """Return what holds a value against a type: no text is a number and no number a boolean."""
    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def _tuples(value: Any) -> Any:
    """Return a value with tuples for its lists, which neither YAML nor JSON has."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
