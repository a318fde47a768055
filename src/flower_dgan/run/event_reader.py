"""Reads the events of a run, of one that goes on too: each time what is new, and anew where the file was cut."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from flower_dgan.errors import DataError
from flower_dgan.run.events import METRICS, typed
from flower_dgan.run.regular_file import open_regular
from flower_dgan.whole_file import whole_lines

_MARK = 128  # bytes before where a reader stands by which it knows the file again
_MOST = 1 << 21  # bytes that one reading takes at most: what Python makes of them is 8 times as large
_DEEPEST = 32  # objects and lists within each other; those that are written have five


@dataclass(frozen=True)
class Event:
    """One line of ``metrics.jsonl``.

    Attributes
    ----------
    kind : str
        What it is, see :data:`flower_dgan.run.events.KINDS`; also one that this version does not know.
    time : float or None
        When, in seconds since 1970; None in lines of earlier versions, and where it is no finite number.
    fields : mapping of str to object
        The line as JSON has it, ``kind`` and ``time`` too; of one that was written just now, with records in it.
    """

    kind: str
    time: float | None
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, fields: Mapping[str, Any], record: Any = None) -> "Event":
        """Return the event of a line, whatever is in it; and as a record, where that is known."""
        kind = fields.get("kind")
        event = cls(kind if isinstance(kind, str) else "", _finite(fields.get("time")), fields)
        if record is not None:
            event.__dict__["record"] = record  # where the property below keeps it
        return event

    @cached_property
    def record(self) -> Any:
        """The line as the record of its kind; None if the kind is unknown or a field is not what it should be."""
        try:
            return typed(self.fields)
        except (TypeError, ValueError):
            return None


class News(NamedTuple):
    """What a reading found.

    Attributes
    ----------
    events : list of Event
        In the order of their lines.
    anew : bool
        Whether they are the first of the file, as it is not the one that was read before: forget what that said.
    damaged : int
        Whole lines among them that are no JSON objects, and were passed over.
    """

    events: list[Event]
    anew: bool
    damaged: int


class EventReader:
    """Reads a run's events as they come; training and reader need not know of each other.

    A line whose end is not there yet is read once it is. A training that is resumed writes its file anew, without the
    rounds that come again, and the reader begins anew with it.

    Parameters
    ----------
    run_directory : Path
        The directory of a run, whose file may not be there yet.

    Attributes
    ----------
    offset : int
        Bytes of the file that were read.
    """

    def __init__(self, run_directory: Path) -> None:
        self.path = run_directory / METRICS
        self.offset = 0
        self._mark = b""

    def read(self) -> News:
        """Return what was written since the last call, at most 2 MiB of it: call until there are no events.

        Raises
        ------
        DataError
            If there is a file and it cannot be read, or it is no regular one: it may be another's, and is read in
            places where nobody may wait.
        """
        try:
            with open_regular(self.path) as file:
                anew = self.offset > 0 and not self._is_known(file)
                if anew:
                    self.offset, self._mark = 0, b""
                file.seek(self.offset)
                found = file.read(_MOST)
                if b"\n" not in found and len(found) == _MOST:
                    found += file.readline()
        except FileNotFoundError:
            anew, found = self.offset > 0, b""
            self.offset, self._mark = 0, b""
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from error
        whole = found[: found.rfind(b"\n") + 1]
        self.offset += len(whole)
        self._mark = (self._mark + whole)[-_MARK:]
        lines = whole.splitlines()
        events = [Event.of(fields) for line in lines if (fields := _object(line)) is not None]
        return News(events, anew, len(lines) - len(events))

    def _is_known(self, file: Any) -> bool:
        """Return whether the file has, before where this reader stands, what it read there."""
        file.seek(self.offset - len(self._mark))
        return bool(file.read(len(self._mark)) == self._mark)


def read_events(run_directory: Path) -> list[Event]:
    """Return all events of a run, those of unknown kinds too; a line that is damaged or not whole is passed over."""
    reader, events = EventReader(run_directory), list[Event]()
    while news := reader.read().events:
        events += news
    return events


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None where it has none, or one too deep for those who go through it."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and _is_flat(line, fields) else None


def _is_flat(line: bytes, fields: dict[str, Any]) -> bool:
    if line.count(b"{") + line.count(b"[") <= _DEEPEST:
        return True
    inner: list[Any] = [fields]
    for _ in range(_DEEPEST):
        parts = (each.values() if isinstance(each, dict) else each for each in inner)
        inner = [each for part in parts for each in part if isinstance(each, dict | list)]
        if not inner:
            return True
    return False


def _finite(value: Any) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number of some hundred digits
        return None


def read_lines(run_directory: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read ``metrics.jsonl`` of a run line by line, and strictly: what is damaged is named.

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
            if not _is_flat(line, fields):
                raise ValueError("its objects and lists are too deep within each other")
        except (TypeError, ValueError, RecursionError) as error:
            damage = "it holds zero bytes, as after a power cut" if b"\0" in line else str(error)
            raise DataError(f"{path}, line {number}: {damage}. Delete the line; all others can be used.") from error
        yield number, fields
