"""Tells a tracker what the events of a run say, as they come or from its directory afterwards."""

from collections.abc import Iterator
from pathlib import Path

from flower_dgan.run.event_reader import Event, read_events
from flower_dgan.run.outcome_records import Alarm, End
from flower_dgan.run.quality_records import Distance
from flower_dgan.run.round_records import Round, Validation
from flower_dgan.run.settings_file import settings_of
from flower_dgan.run.status_records import Begin, Samples
from flower_dgan.tasks.results import TstrResult
from flower_dgan.trackers.tracker import Tracker


class Feed:
    """One tracker of one run.

    Parameters
    ----------
    tracker : Tracker
        Who is told.
    run : Path
        The directory of the run.
    """

    def __init__(self, tracker: Tracker, run: Path) -> None:
        self._tracker, self._run = tracker, run
        self._round, self._begun, self._open = 0, False, False

    def tell(self, event: Event) -> None:
        """Tell of one event; raises whatever the tracker does."""
        record = event.record
        if not self._begun and (isinstance(record, Begin) or event.kind in ("join", "round")):
            self._begun = self._open = True  # runs of earlier versions do not say that they begin
            self._tracker.begin(self._run, settings_of(self._run))
        if not self._open:
            return
        if isinstance(record, Round):
            self._round = record.round
            self._tracker.scalars(record.round, dict(numbers(record)))
        elif isinstance(record, Samples):
            if (file := self._run / record.grid).is_file():
                self._tracker.images(record.round, {"samples": file})
        elif isinstance(record, Alarm):
            self._tracker.alarm(record)
        elif isinstance(record, Validation) and record.score is not None:
            self._tracker.scalars(record.round, {f"validation/{record.metric}": record.score})
        elif isinstance(record, TstrResult):
            values = {f"{record.row}/{name}/seed {record.seed}": each for name, each in record.values.items()}
            self._tracker.scalars(self._round, values)
        elif isinstance(record, Distance):
            self._tracker.scalars(self._round, {f"{record.metric}/{record.site}/{record.compared}": record.distance})

    def end(self, how: str, why: str) -> None:
        """End, once."""
        if self._open:
            self._open = False
            self._tracker.end(how, why)


def numbers(record: Round) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a round with their names; none where there is none."""
    for name, client in record.clients.items():
        figures = {
            "loss/generator": client.generator_loss,
            "loss/discriminator": client.discriminator_loss,
            "score": client.score,
            "feedback/length": client.feedback_length,
            "feedback/direction": client.feedback_direction,
            "weight": client.weight,
            "bytes/sent": client.bytes_sent,
            "bytes/received": client.bytes_received,
        }
        for kind, value in figures.items():
            if value is not None:
                yield f"{kind}/{name}", float(value)
    for name, seconds in record.seconds.items():
        yield f"seconds/{name}", seconds
    yield "refused answers", float(len(record.rejected))


def export(run: Path, tracker: Tracker) -> int:
    """Tell a tracker all of a run that has been, and return of how many rounds; raises whatever the tracker does."""
    feed, rounds, end = Feed(tracker, run), 0, End("stopped", "it has not ended", 1)
    for event in read_events(run):
        feed.tell(event)
        record = event.record
        rounds += isinstance(record, Round)
        end = record if isinstance(record, End) else end
    feed.end(end.how, end.why)
    return rounds
