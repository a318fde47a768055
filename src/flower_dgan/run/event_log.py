"""Writes the events of a run."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from flower_dgan.run.event_reader import Event
from flower_dgan.run.events import KIND_OF, METRICS
from flower_dgan.whole_file import append_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class EventLog:
    """Appends to ``metrics.jsonl``, from any thread, a whole line at a time.

    Parameters
    ----------
    run_directory : Path
        The directory of a run.
    clock : callable
        Seconds since 1970.

    Attributes
    ----------
    listeners : list of callable
        Called with each event once it is written, in the thread that wrote it.
    """

    def __init__(self, run_directory: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = run_directory / METRICS
        self._clock = clock
        self._lock = Lock()
        self.listeners: list[Callable[[Event], object]] = []

    def write(self, record: "DataclassInstance", *, durable: bool = True) -> None:
        """Append an event of its kind; raises StorageError.

        Parameters
        ----------
        record : object
            A record of :data:`flower_dgan.run.events.KINDS`.
        durable : bool
            Whether it is on disk when this returns; so it is for what a report is made of.
        """
        self._append(KIND_OF[type(record)], vars(record), record, durable)

    def measure(self, kind: str, values: dict[str, Any], *, durable: bool = True) -> None:
        """Append an event of a kind with these fields; raises StorageError."""
        self._append(kind, values, None, durable)

    def _append(self, kind: str, values: dict[str, Any], record: Any, durable: bool) -> None:
        with self._lock:
            line = {"kind": kind, "time": round(self._clock(), 3), **values}
            append_line(self.path, json.dumps(line, default=vars), durable=durable)
        event = Event.of(line, record)
        for listener in self.listeners:
            listener(event)
