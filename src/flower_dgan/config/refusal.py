"""What is said of a setting whose value is refused: its name, the value, and what is allowed instead."""

import types
import typing
from dataclasses import dataclass
from math import isnan
from typing import Annotated, Any, Literal

from annotated_types import Interval

from flower_dgan.config.import_path import ImportPath
from flower_dgan.config.ranges import Because
from flower_dgan.errors import ConfigError, RangeError, unknown_name
from flower_dgan.printable import printable

_LONGEST = 80
_LENGTH = ("missing", "too_long", "tuple_type")


def refusal(hint: Any, value: Any, path: str, problem: str, place: tuple[int | str, ...]) -> ConfigError:
    """Return the error for a value that is not of a type.

    Parameters
    ----------
    hint : type
        As the field of a dataclass has it.
    value : object
        What was given, with tuples for lists.
    path : str
        The setting, such as ``"algorithm.betas"``.
    problem, place : str, tuple
        Kind of the mistake, as pydantic calls it, and in which entry of which tuple it is.

    Returns
    -------
    ConfigError
        A :class:`~flower_dgan.errors.RangeError` where the type is right and the value out of range.
    """
    setting, wrong, allowed = f"{path}={shown(value)}", value, _Allowed.by(hint)
    if problem in _LENGTH:
        place = place[:-1] if problem == "missing" else place
    for step in place:
        if not isinstance(step, int) or not allowed.entries:
            break
        wrong, allowed = wrong[step], _Allowed.by(allowed.entries[step if len(allowed.entries) > 1 else 0])
    text = setting if wrong is value else f"{setting}: {shown(wrong)}"
    if problem in _LENGTH:
        wanted = f", which has {len(allowed.entries)} entries" if len(allowed.entries) > 1 else ""
        return ConfigError(f"{text} is no list of the right length{wanted}.")
    if allowed.names:
        return ConfigError(_unknown(text, path, wrong, allowed))
    if isinstance(wrong, float) and isnan(wrong):
        return ConfigError(f"{text} is no number: it must be {allowed.words}.")
    right_type = type(wrong) is allowed.kind or (allowed.kind is float and type(wrong) is int)
    if problem == "string_unicode":
        return ConfigError(f"{text} is no text: it has halves of characters.")
    if not right_type:
        given = "null" if wrong is None else f"of type {type(wrong).__name__}, not {allowed.kind.__name__}"
        return ConfigError(f"{text} is {given}: it must be {allowed.words}.")
    return RangeError(f"{text} must be {allowed.words}.")


def shown(value: Any) -> str:
    """Return a value as one writes it in an override, cut off where it is long."""
    return printable(_written(value), _LONGEST)


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _unknown(text: str, path: str, wrong: Any, allowed: "_Allowed") -> str:
    if not isinstance(wrong, str):
        own = ", or an import path package.module:attribute" if allowed.own_code else ""
        return f"{text} must be one of {', '.join(allowed.names)}{own}."
    if allowed.own_code and ":" in wrong:
        return f"{path}={printable(wrong, _LONGEST)} is no import path: write package.module:attribute."
    return unknown_name(path, wrong, allowed.names)


@dataclass(frozen=True)
class _Allowed:
    """A type of a field, taken apart."""

    kind: type
    names: tuple[str, ...] = ()
    own_code: bool = False
    or_null: bool = False
    entries: tuple[Any, ...] = ()
    metadata: tuple[Any, ...] = ()

    @classmethod
    def by(cls, hint: Any) -> "_Allowed":
        parts = [hint]
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            parts = list(typing.get_args(hint))
        own_code, or_null = ImportPath in parts, types.NoneType in parts
        base, metadata = parts[0], ()
        if typing.get_origin(base) is Annotated:
            base, *rest = typing.get_args(base)
            metadata = tuple(rest)
        arguments = typing.get_args(base)
        if typing.get_origin(base) is Literal:
            return cls(str, arguments, own_code, or_null)
        entries = tuple(each for each in arguments if each is not Ellipsis)
        return cls(typing.get_origin(base) or base, (), own_code, or_null, entries, metadata)

    @property
    def words(self) -> str:
        """What is allowed, as it follows "must be"."""
        reasons = [each.reason for each in self.metadata if isinstance(each, Because)]
        null = ", or null" if self.or_null else ""
        return f"{self._range()}{null}{': ' if reasons else ''}{', '.join(reasons)}"

    def _range(self) -> str:
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return "a text that is not empty" if self.metadata else "a text"
        interval = next((each for each in self.metadata if isinstance(each, Interval)), Interval())
        low, high = (interval.ge, interval.gt), (interval.le, interval.lt)
        if self.kind is int:
            return f"from {low[0]:,} to {high[0]:,}" if low[0] is not None else "a whole number"
        if high == (None, None):
            return f"at least {_end(low)}"
        opening, closing = "[(", "])"
        return f"in {opening[low[0] is None]}{_end(low)}, {_end(high)}{closing[high[0] is None]}"


def _end(ends: tuple[Any, Any]) -> str:
    return f"{ends[0] if ends[0] is not None else ends[1]:,.10g}"
