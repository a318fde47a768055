"""Says in the log, and writes down, what goes wrong in a training: once when it begins, and once when it is over."""

import logging
import time
from threading import Lock

from flower_dgan.run.alarms import Watch
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.event_reader import Event, read_events
from flower_dgan.run.outcome_records import Alarm

logger = logging.getLogger("flwr")


class AlarmLog:
    """Listens to the events of a run.

    Parameters
    ----------
    events : EventLog
        The run's; what is in its file already is known, and not said again.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._watch = Watch()
        self._lock = Lock()  # heartbeats come from a thread of their own
        for event in read_events(events.path.parent):
            self._watch.take(event)
            if isinstance(event.record, Alarm):
                self._watch.note(event.record)
        events.listeners.append(self.hear)

    def hear(self, event: Event) -> None:
        """Write down and log what begins or ends with an event."""
        if event.kind == "alarm":
            return
        with self._lock:
            found = self._watch.take(event)
            if event.kind == "heartbeat":
                found += self._watch.look(time.time())
        for alarm in found:
            self._events.write(alarm)
            logger.log(logging.WARNING if alarm.begins else logging.INFO, "%s", alarm.in_words)
