"""Trackers beside a training that goes on, which does not wait for them."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from flower_dgan.errors import one_line
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.event_reader import Event
from flower_dgan.run.outcome_records import FAILED, FINISHED, STOPPED
from flower_dgan.trackers.feed import Feed
from flower_dgan.trackers.tracker import Tracker

logger = logging.getLogger("flwr")

PATIENCE = 60.0
"""Seconds that trackers have at the end of a run to send what is left."""
_HURRY = 5.0  # seconds, where the run was stopped from outside
_MOST_WAITING = 1_000  # events; a tracker that is further behind does not answer


@contextmanager
def tracked(events: EventLog, trackers: Sequence[tuple[str, Tracker]], patience: float = PATIENCE) -> Iterator[None]:
    """Tell trackers what happens in the body.

    Each has a thread of its own. One that raises an error, or does not keep up, is named once in the log and left.

    Parameters
    ----------
    events : EventLog
        The run's.
    trackers : sequence of (str, Tracker)
        With their names.
    patience : float
        Seconds that they have when the body has ended.
    """
    threads = [_Beside(name, tracker, events.path.parent) for name, tracker in trackers]
    for thread in threads:
        thread.start()
        events.listeners.append(thread.hear)
    how, why = FINISHED, ""
    try:
        yield
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        how, why = STOPPED if stopped else FAILED, one_line(error)
        patience = min(patience, _HURRY) if stopped else patience
        raise
    finally:
        for thread in threads:
            thread.waiting.put((how, why))
        for thread in threads:
            thread.join(patience)
            if thread.is_alive():
                logger.warning("The tracker %s has not sent all within %.0f s, and is left.", thread.called, patience)


class _Beside(Thread):
    """Tells one tracker, in its own time."""

    def __init__(self, name: str, tracker: Tracker, run: Path) -> None:
        super().__init__(daemon=True, name=f"tracker-{name}")
        self.called = name
        self.waiting: SimpleQueue[Event | tuple[str, str]] = SimpleQueue()
        self._feed = Feed(tracker, run)
        self._left = False

    def hear(self, event: Event) -> None:
        """Take an event, in the thread of whoever wrote it."""
        if self._left:
            return
        if self.waiting.qsize() >= _MOST_WAITING:
            self._leave("it does not keep up")
        else:
            self.waiting.put(event)

    def run(self) -> None:
        """Tell the tracker one event after the other until the end."""
        try:
            while not self._left:
                event = self.waiting.get()
                if isinstance(event, tuple):
                    self._feed.end(*event)
                    return
                self._feed.tell(event)
        except Exception as error:  # whatever a tracker makes of a network: the training goes on
            self._leave(one_line(error))

    def _leave(self, why: str) -> None:
        self._left = True
        logger.warning(
            "The tracker %s failed and is left (%s). `flower-dgan export` sends a run to it afterwards.",
            self.called,
            why,
        )
