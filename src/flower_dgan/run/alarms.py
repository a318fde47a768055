"""What goes wrong in a training: a fold over its events, for log, report, trackers and page alike.

A rule looks at one event, in the light of what the training said of itself, and says for each client whether it holds.
It is an alarm once it has held for as many answers in a row as the rule wants, and is over once it does not hold.
Those who read a finished or a running run, or one that goes on after a restart, come to the same alarms. That there is
no round for long is the exception: it is seen by the clock, and known afterwards by its own lines.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flower_dgan.run.alarm_rules import RULES, Finding, Known
from flower_dgan.run.event_reader import Event
from flower_dgan.run.member_records import Join
from flower_dgan.run.outcome_records import Alarm, End, Stage
from flower_dgan.run.round_records import Round
from flower_dgan.run.status_records import Begin, StageBegin

UNDECIDED: Mapping[str, float | None] = MappingProxyType(
    {"bce": 2 * math.log(2), "minimax": 2 * math.log(2), "least-squares": 0.5, "hinge": 2.0, "wasserstein": None}
)
"""The lowest loss, real and synthetic together, of a discriminator that gives every image the same score.

Wasserstein's is a difference of means without a floor, so that none of its values says that the discriminator has won.
"""

SILENT = "no round for long"
USUAL_ROUNDS = 3
"""So many usual rounds without one are an alarm."""
_LEAST_SECONDS = 60.0  # a checkpoint or a sample grid takes longer than a round of tiny networks
_MEMORY = 10  # rounds by which is judged what is usual


@dataclass
class _Row:
    """How long a rule has held: since which round, how many times in a row; whether that was said."""

    since: int
    times: int
    said: bool


class Watch:
    """Takes the events of a run one by one and says what begins to go wrong, and what no longer does."""

    def __init__(self) -> None:
        self._known = Known()
        self._rows: dict[tuple[str, str], _Row] = {}
        self._ends: list[float] = []  # times of the last rounds of this attempt
        self._training = False

    def take(self, event: Event) -> list[Alarm]:
        """Return the alarms that begin or end with an event; those that the file holds already are not looked at."""
        record = event.record
        if isinstance(record, Begin):
            self._known.begin, self._ends = record, []
        elif isinstance(record, Join):
            self._known.joins[record.site] = record
        elif isinstance(record, StageBegin | Stage | End):
            self._training = isinstance(record, StageBegin) and record.name == "training"
        elif isinstance(record, Round):
            self._known.note(record)
        if self._known.begin is None:
            return []
        found = [finding for rule in RULES for finding in rule(self._known, record)]
        if isinstance(record, Round):
            found.append(Finding(SILENT, "", record.round, 0.0, "there is a round again", "", holds=False))
            self._known.round = record.round
            if event.time is not None:
                self._ends = [*self._ends, event.time][-_MEMORY - 1 :]
        return [alarm for finding in found for alarm in self._judge(finding)]

    def look(self, now: float) -> list[Alarm]:
        """Return the alarm that there has been no round for three usual ones, where that is so now.

        Parameters
        ----------
        now : float
            Seconds since 1970. No round is missed before the second of an attempt, as nothing is usual yet, nor in
            other stages than the training.
        """
        if not self._training or len(self._ends) < 2:
            return []
        gaps = sorted(later - before for before, later in zip(self._ends, self._ends[1:], strict=False))
        usual, waited = gaps[len(gaps) // 2], now - self._ends[-1]
        return self._judge(
            Finding(
                SILENT,
                "",
                self._known.round,
                waited,
                f"the last round ended {waited:.0f} s ago, where {usual:.3g} s are usual",
                "look at the server's log for who is waited for, and at that node's; schedule=asynchronous does not "
                "wait for all",
                holds=waited > max(USUAL_ROUNDS * usual, _LEAST_SECONDS),
            )
        )

    def note(self, alarm: Alarm) -> None:
        """Take over an alarm of :meth:`look` that the file holds: the clock that raised it is not in the file."""
        if alarm.name == SILENT:
            self._rows.pop((alarm.name, alarm.site), None)
            if alarm.begins:
                self._rows[alarm.name, alarm.site] = _Row(alarm.since, 1, said=True)

    def _judge(self, finding: Finding) -> list[Alarm]:
        key = finding.name, finding.site
        if not finding.holds:
            row = self._rows.pop(key, None)
            if row is None or not row.said:
                return []
            return [Alarm(*key, row.since, finding.round, False, finding.figure, finding.said)]
        row = self._rows.setdefault(key, _Row(finding.round, 0, said=False))
        row.times += 1
        if row.times < finding.wanted or row.said:
            return []
        row.said = True
        return [Alarm(*key, row.since, finding.round, True, finding.figure, finding.said, finding.help_by)]


def alarms_of(events: Iterable[Event]) -> list[Alarm]:
    """Return all alarms of the events of a run, in their order."""
    watch = Watch()
    return [alarm for event in events for alarm in watch.take(event)]
