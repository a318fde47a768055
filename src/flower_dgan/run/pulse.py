"""Says now and then that a run lives, and how far a stage of minutes is."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from flower_dgan.errors import StorageError
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.status_records import Heartbeat

logger = logging.getLogger("flwr")

HEARTBEAT = 30.0
"""Seconds between two heartbeats."""


class Pulse:
    """Writes a heartbeat twice a minute from a thread of its own.

    Parameters
    ----------
    events : EventLog
        Where to.
    attempt : int
        Which attempt at the training this is.
    every : float
        Seconds between two heartbeats.
    """

    def __init__(self, events: EventLog, attempt: int, every: float = HEARTBEAT) -> None:
        self._events, self._attempt, self._every = events, attempt, every
        self._stage, self._of, self._done, self._said = "", 0, 0, 0
        self._start = time.monotonic()
        self._over = Event()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Write heartbeats while the body runs."""
        thread = Thread(target=self._beat, daemon=True, name="heartbeat")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    @contextmanager
    def stage(self, name: str, steps: int = 0) -> Iterator[None]:
        """Say that a stage of so many steps goes on while the body runs; one inside another counts as its part."""
        before = self._stage, self._of, self._done, self._start
        self._stage, self._of, self._done, self._start = name, steps, 0, time.monotonic()
        try:
            yield
        finally:
            self._stage, self._of, self._done, self._start = before

    def step(self, count: int = 1) -> None:
        """Note that so many steps of the stage were done."""
        self._done += count

    def heartbeat(self) -> Heartbeat:
        """Return how the run stands."""
        done, of = self._done, self._of
        seconds = time.monotonic() - self._start
        left = seconds / done * (of - done) if 0 < done <= of else None
        return Heartbeat(self._attempt, self._stage, done, of, None if left is None else round(left, 1))

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            beat = self.heartbeat()
            with suppress(StorageError):  # who writes a measurement finds out, too, and ends the run
                self._events.write(beat, durable=False)
            if beat.stage != "training" and beat.done and beat.seconds_left is not None:  # whose rounds have lines
                minutes, seconds = divmod(round(beat.seconds_left), 60)
                logger.info("%s: %d of %d steps | %d:%02d left", beat.stage, beat.done, beat.of, minutes, seconds)
