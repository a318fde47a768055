"""The schema of ``metrics.jsonl``: one JSON object a line, with ``kind``, ``time``, and the fields of that kind.

Fields and kinds are added, and never renamed: a reader passes over what it does not know, and fields that earlier
versions did not write have defaults. ``time`` is in seconds since 1970 (UTC); lines of earlier versions have none.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from flower_dgan.run.crossing_records import NoisyRelease, PrivateSteps, RecordCount, Traffic
from flower_dgan.run.member_records import Change, Join, Where
from flower_dgan.run.outcome_records import Alarm, End, MemoryPeak, Stage
from flower_dgan.run.quality_records import Distance, MissingMoments, RowPictures
from flower_dgan.run.round_records import Round, Selection, Validation
from flower_dgan.run.status_records import Begin, Classes, Heartbeat, KeptGenerator, LedgerRows, Samples, StageBegin
from flower_dgan.tasks.results import TstrResult
from flower_dgan.tasks.segmentation.columns import OBJECTS

_TOO_LARGE = 2**63  # JSON has integers of any length, with which floats cannot be multiplied

METRICS = "metrics.jsonl"
"""The file, in the directory of a run."""

KINDS: Mapping[str, type] = {
    "begin": Begin,
    "classes": Classes,
    "join": Join,
    "membership": Change,
    "device": Where,
    "noisy-release": NoisyRelease,
    "private-steps": PrivateSteps,
    "stage-begin": StageBegin,
    "stage": Stage,
    "heartbeat": Heartbeat,
    "round": Round,
    "samples": Samples,
    "generator": KeptGenerator,
    "ledger": LedgerRows,
    "alarm": Alarm,
    "check": Validation,
    "selection": Selection,
    "tstr": TstrResult,
    "test-pictures": RowPictures,
    "traffic": Traffic,
    "record": RecordCount,
    "memory": MemoryPeak,
    "distance": Distance,
    "missing-moments": MissingMoments,
    "end": End,
}
"""What each kind of line is read as."""

KIND_OF: Mapping[type, str] = {record: kind for kind, record in KINDS.items()}


def typed(line: Mapping[str, Any]) -> Any:
    """Read the fields of a line as the record of its kind.

    Parameters
    ----------
    line : mapping
        The JSON object. Fields that are not known are passed over.

    Returns
    -------
    object or None
        A record of :data:`KINDS`; None for a kind that this version does not know.

    Raises
    ------
    TypeError, ValueError
        If a field is missing or of another type; the text names it.
    """
    kind = field_of(line, "kind", str)
    if kind == "tstr":
        return _tstr(line)
    record = KINDS.get(kind)
    return None if record is None else _as_record(record, line)


def field_of(line: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a field after a check of its type; an integer is a float too, a boolean is neither."""
    if name not in line:
        raise ValueError(f"the field '{name}' is missing")
    return _plain(kind)(line[name], name)


def _as_record(record: type, line: Mapping[str, Any]) -> Any:
    values = {}
    for name, reader, needed in _readers(record):
        if name in line:
            values[name] = reader(line[name], name)
        elif needed:
            raise ValueError(f"the field '{name}' is missing")
    return record(**values)


Reader = Callable[[Any, str], Any]
"""Checks a value, and makes of it what a record holds; given the name of its field."""


@cache
def _readers(record: type) -> tuple[tuple[str, Reader, bool], ...]:
    """Return, for each field of a record, its name, how it is read, and whether it has to be there."""
    hints = get_type_hints(record)
    return tuple(
        (each.name, _reader(hints[each.name]), each.default is MISSING and each.default_factory is MISSING)
        for each in fields(record)
    )


def _reader(hint: Any) -> Reader:
    """Return how a value of an annotated type is read from JSON."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:  # with None alone
        inner = _reader(next(each for each in arguments if each is not NoneType))
        return lambda value, name: None if value is None else inner(value, name)
    if origin is tuple:
        items, each_of = _plain(list), _reader(arguments[0])
        return lambda value, name: tuple(each_of(each, name) for each in items(value, name))
    if origin is not None:  # a mapping of str
        table, value_of = _plain(dict), _reader(arguments[1])
        return lambda value, name: {key: value_of(each, key) for key, each in table(value, name).items()}
    if is_dataclass(hint):
        table = _plain(dict)
        return lambda value, name: _as_record(hint, table(value, name))  # type: ignore[arg-type]
    return _plain(hint)


def _plain(kind: type) -> Reader:
    allowed = {float: (int, float), list: (list, tuple)}.get(kind, kind)  # tuples before they were JSON

    def read(value: Any, name: str) -> Any:
        if not isinstance(value, allowed) or isinstance(value, bool) != (kind is bool):
            raise TypeError(f"the field '{name}' is {value!r}, not a {kind.__name__}")
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            raise ValueError(f"the field '{name}' is larger than any number that is written")
        return value

    return read


def _tstr(line: Mapping[str, Any]) -> TstrResult:
    """Read a result, in which every number but the seed and the time is a metric's, be it known here or not."""
    row, seed = field_of(line, "row", str), field_of(line, "seed", int)
    numbers = {name: each for name, each in line.items() if isinstance(each, int | float)}
    values = {name: field_of(numbers, name, float) for name in numbers if name not in ("seed", "time")}
    remark = field_of(line, "remark", str) if "remark" in line else OBJECTS.get(line.get("objects", ""), "")
    warning = field_of(line, "warning", str) if "warning" in line else ""
    return TstrResult(row, seed, values, remark, warning)
