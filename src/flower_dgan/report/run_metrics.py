"""Reads the metrics of a run from ``metrics.jsonl``."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flower_dgan.errors import DataError, unknown_name
from flower_dgan.report.run_records import (
    Alarm,
    Change,
    ClientRound,
    Distance,
    End,
    Join,
    MemoryPeak,
    MissingMoments,
    NoisyRelease,
    RecordCount,
    Round,
    RunMetrics,
    Selection,
    Stage,
    Traffic,
    Validation,
    Where,
)
from flower_dgan.tasks.patient_scores import read_scores
from flower_dgan.tasks.results import TstrResult
from flower_dgan.tasks.segmentation.columns import OBJECTS
from flower_dgan.whole_file import whole_lines

METRICS = "metrics.jsonl"


def read_metrics(run_directory: Path) -> RunMetrics:
    """Read the metrics of a run, and its scores by patient if it has any.

    Parameters
    ----------
    run_directory : Path
        A folder with ``metrics.jsonl``: one JSON object a line with ``kind`` and the fields of that kind; fields
        that are not known are passed over.

    Returns
    -------
    RunMetrics
        The typed records.

    Raises
    ------
    DataError
        The file is missing, or a line is not such an object; the message names the line.
    """
    path = run_directory / METRICS
    found: dict[str, list[Any]] = {kind: [] for kind in _READERS}
    for number, fields in read_lines(run_directory):
        try:
            kind = _field(fields, "kind", str)
            if kind not in _READERS:
                raise ValueError(unknown_name("kind", kind, _READERS))
            found[kind].append(_READERS[kind](fields))
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: {error}") from error
    return RunMetrics(
        joins=tuple(found["join"]),
        rounds=tuple(found["round"]),
        tstr=tuple(found["tstr"]),
        traffic=tuple(found["traffic"]),
        records=tuple(found["record"]),
        stages=tuple(found["stage"]),
        memory=tuple(found["memory"]),
        devices=tuple(found["device"]),
        releases=tuple(found["noisy-release"]),
        distances=tuple(found["distance"]),
        missing_moments=tuple(found["missing-moments"]),
        changes=tuple(found["membership"]),
        alarms=tuple(found["alarm"]),
        end=found["end"][-1] if found["end"] else None,
        patients=read_scores(run_directory),
        validations=tuple(found["check"]),
        selection=found["selection"][-1] if found["selection"] else None,
    )


def read_lines(run_directory: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read ``metrics.jsonl`` of a run line by line.

    What comes after the last whole line was being written when process or machine ended: it is passed over, with a
    warning.

    Parameters
    ----------
    run_directory : Path
        The folder.

    Yields
    ------
    int, dict
        The number of a line, from 1, and its fields.

    Raises
    ------
    DataError
        The file is missing or cannot be read, or a line is no JSON object; the message names the line.
    """
    path = run_directory / METRICS
    if not path.is_file():
        raise DataError(f"There is no {path}; name the directory of a run that has measured something.")
    for number, line in enumerate(whole_lines(path).split(b"\n")[:-1], start=1):
        try:
            fields = json.loads(line)
            if not isinstance(fields, dict):
                raise TypeError("not a JSON object")
        except (TypeError, ValueError) as error:
            damage = "it holds zero bytes, as after a power cut" if b"\0" in line else str(error)
            raise DataError(f"{path}, line {number}: {damage}. Delete the line; all others can be used.") from error
        yield number, fields


def _field(fields: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a field after a check of its type; an integer is a float too, a boolean is neither."""
    if name not in fields:
        raise ValueError(f"the field '{name}' is missing")
    value = fields[name]
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or isinstance(value, bool) != (kind is bool):
        raise TypeError(f"the field '{name}' is {value!r}, not a {kind.__name__}")
    return value


def _field_or_none(fields: Mapping[str, Any], name: str, kind: type) -> Any:
    return None if name in fields and fields[name] is None else _field(fields, name, kind)


def _flat(record: type, fields: Mapping[str, Any]) -> Any:
    """Build a record whose annotations are all str, int, float or bool; what has a default may be missing."""
    there = {name: kind for name, kind in record.__annotations__.items() if name in fields or not hasattr(record, name)}
    return record(**{name: _field(fields, name, kind) for name, kind in there.items()})


def _round(fields: Mapping[str, Any]) -> Round:
    seconds = _field(fields, "seconds", dict)
    clients = _field(fields, "clients", dict)
    rejected = _field(fields, "rejected", dict)
    repeats = _field(fields, "repeats", dict)
    return Round(
        round=_field(fields, "round", int),
        seconds={name: _field(seconds, name, float) for name in seconds},
        images=_field(fields, "images", int),
        clients={site: _flat(ClientRound, _field(clients, site, dict)) for site in clients},
        rejected={site: _field(rejected, site, str) for site in rejected},
        staleness=_field(fields, "staleness", int),
        late=tuple(str(site) for site in _field(fields, "late", list)),
        repeats={site: _field(repeats, site, int) for site in repeats},
        bounded_together=_field(fields, "bounded_together", int) if "bounded_together" in fields else 0,
    )


def _validation(fields: Mapping[str, Any]) -> Validation:
    clients, missing = _field(fields, "clients", dict), _field(fields, "missing", dict)
    return Validation(
        round=_field(fields, "round", int),
        metric=_field(fields, "metric", str),
        score=_field_or_none(fields, "score", float),
        clients={site: _field(clients, site, float) for site in clients},
        missing={site: _field(missing, site, str) for site in missing},
    )


def _selection(fields: Mapping[str, Any]) -> Selection:
    return Selection(_field_or_none(fields, "best", int), _field(fields, "taken", int))


def _tstr(fields: Mapping[str, Any]) -> TstrResult:
    """Read a result, in which every number but the seed is a metric's, be it known here or not."""
    row, seed = _field(fields, "row", str), _field(fields, "seed", int)
    numbers = {name: value for name, value in fields.items() if isinstance(value, int | float) and name != "seed"}
    values = {name: _field(numbers, name, float) for name in numbers}
    remark = _field(fields, "remark", str) if "remark" in fields else OBJECTS.get(fields.get("objects", ""), "")
    warning = _field(fields, "warning", str) if "warning" in fields else ""
    return TstrResult(row, seed, values, remark, warning)


_READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "join": lambda fields: _flat(Join, fields),
    "round": _round,
    "tstr": _tstr,
    "traffic": lambda fields: _flat(Traffic, fields),
    "record": lambda fields: _flat(RecordCount, fields),
    "membership": lambda fields: _flat(Change, fields),
    "end": lambda fields: _flat(End, fields),
    "alarm": lambda fields: _flat(Alarm, fields),
    "stage": lambda fields: _flat(Stage, fields),
    "memory": lambda fields: _flat(MemoryPeak, fields),
    "device": lambda fields: _flat(Where, fields),
    "noisy-release": lambda fields: _flat(NoisyRelease, fields),
    "distance": lambda fields: _flat(Distance, fields),
    "check": _validation,
    "selection": _selection,
    "missing-moments": lambda fields: _flat(MissingMoments, fields),
}
