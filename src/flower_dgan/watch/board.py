"""The runs that are watched, each read as far as the page wants it."""

import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from flower_dgan.errors import DataError
from flower_dgan.run.event_reader import EventReader
from flower_dgan.run.events import METRICS
from flower_dgan.run.settings_file import settings_of
from flower_dgan.watch.run_places import Place, find_runs
from flower_dgan.watch.shown_files import inside
from flower_dgan.watch.sign_of_life import is_locked
from flower_dgan.watch.story import Story

_FOUND_ANEW = 2.0  # seconds between two looks for new runs
MOST_LATEST = 40
"""Runs that the page shows beside each other."""
_OPEN = 80  # runs that are kept read, those beside each other and more; the one asked for longest ago is read anew


class Watched:
    """One run, as far as its file has been read.

    Parameters
    ----------
    place : Place
        Which.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.story = Story()
        self.edition = 0
        self.version = 0
        self._reader = EventReader(place.path)
        self._lock = threading.Lock()
        self._was_locked = False
        self._damaged = 0
        self._problem = ""

    def refresh(self) -> bool:
        """Read the next part; return whether there is more to read at once."""
        with self._lock:
            try:
                news = self._reader.read()
            except DataError as error:
                self._problem = str(error)
                return False
            self._problem = ""
            if news.anew:
                self.story, self.edition, self._damaged = Story(), self.edition + 1, 0
            for event in news.events:
                self.story.take(event)
            self.story.forget(partial(inside, self.place.path))
            self._damaged += news.damaged
            if news.anew or news.events or news.damaged:
                self.version += 1
            return bool(news.events) and self._share() < 1

    def _share(self) -> float:
        try:
            size = self._reader.path.stat().st_size
        except OSError:
            return 1.0
        return min(1.0, self._reader.offset / size) if size else 1.0

    def status(self) -> dict[str, Any]:
        """Return how the run stands: ``reading``, ``running``, ``silent``, ``killed``, or how it ended."""
        locked = is_locked(self.place.path / "lock")
        self._was_locked = self._was_locked or locked is True
        story, now = self.story, time.time()
        age = None if story.last_time is None else max(0.0, now - story.last_time)
        if self._problem:
            state, why = "silent", self._problem
        elif story.end is not None:
            state, why = str(story.end.get("how", "finished")), str(story.end.get("why", ""))
        elif locked is False and self._was_locked:
            state, why = "killed", "its process ended without a word: `resume` goes on with it"
        elif locked or (age is not None and age < story.patience):
            state, why = "running", ""
        else:
            state, why = "silent", "it was killed, or works on a machine that does not reach this directory"
        return {
            "state": state,
            "why": why,
            "age": None if age is None or story.end is not None else round(age),
            "read": round(self._share(), 3),
        }

    def view(self) -> dict[str, Any]:
        """Return all that the page shows of the run but the curves."""
        with self._lock:
            return {
                "key": self.place.key,
                "name": self.place.name,
                "edition": self.edition,
                "version": self.version,
                "status": self.status(),
                "damaged": self._damaged,
                **self.story.shown(),
            }

    def settings(self) -> dict[str, str]:
        """Return the run's settings by their dotted names, in words."""
        return {name: str(value) for name, value in settings_of(self.place.path).items()}

    def curves(self, since: int = 0) -> dict[str, Any]:
        """Return the curves from a point on."""
        with self._lock:
            return self.story.curves.shown(since)


class Board:
    """The runs below a directory.

    Parameters
    ----------
    target : Path
        Of a run, a sweep, or a folder of runs.

    Raises
    ------
    DataError
        If there is no such directory.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._places = find_runs(target)
        self._looked = time.monotonic()
        self._open: dict[str, Watched] = {}
        self._lock = threading.Lock()

    def places(self) -> list[Place]:
        """Return the runs that are there now."""
        with self._lock:
            if time.monotonic() - self._looked > _FOUND_ANEW:
                self._looked = time.monotonic()
                with suppress(DataError):  # a folder that is gone for a while leaves what was known
                    self._places = find_runs(self._target)
            return list(self._places.values())

    def latest(self) -> dict[str, str]:
        """Return the 40 runs that were written to last, the newest first.

        Returns
        -------
        dict of str to str
            By key, a mark that is another one once more was written.
        """
        found = {}
        for place in self.places():
            found[place.key] = 0, 0  # of one that has measured nothing yet
            with suppress(OSError):
                state = (place.path / METRICS).stat()
                found[place.key] = state.st_mtime_ns, state.st_size
        newest = sorted(found, key=lambda key: found[key], reverse=True)[:MOST_LATEST]
        return {key: "-".join(map(str, found[key])) for key in newest}

    def run(self, key: str) -> Watched | None:
        """Return a run by its key, None where no such is listed."""
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            found = self._open.pop(key, None) or Watched(place)
            self._open[key] = found  # the last one is the one asked for last
            while len(self._open) > _OPEN:
                del self._open[next(iter(self._open))]
            return found
