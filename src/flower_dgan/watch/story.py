"""A training as the page tells it: folded from its events, in memory that does not grow with its rounds."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from flower_dgan.run.event_reader import Event
from flower_dgan.watch.bounded_curves import Curves
from flower_dgan.watch.clients import Clients
from flower_dgan.watch.plain import number, round_number

Fields = Mapping[str, Any]

MEASURES = ("discriminator_loss", "generator_loss", "score")
_ROUNDS_SHOWN = 60  # on the time line
_KEPT = 400  # alarms, changes, stages, results: the last ones of each
_GRIDS = 1_000  # sample grids whose pictures are known one by one; of earlier ones the page shows the grid as a whole
_LEDGER_ROWS = 20_000
_FILES = 64  # generators; a run keeps 16 files of them, so that of more most are gone
_MOST_FILES = 1_000
_LISTS = (
    *("alarm", "stage", "tstr", "check", "selection", "distance", "membership"),
    *("noisy-release", "private-steps", "test-pictures"),
)
_PATIENCE = 60.0  # seconds without a line, where the run does not say how often it gives a sign of life
_HEARTBEATS = 3


class Story:
    """What the events of a training add up to.

    Events of kinds that are not known are passed over, as a later version may write them; of one that cannot be
    understood the page says that it was passed over.
    """

    def __init__(self) -> None:
        self.curves = Curves(MEASURES)
        self.clients = Clients()
        self.end: Fields | None = None
        self.last_time: float | None = None
        self._facts: dict[str, Fields] = {}
        self._lists: dict[str, deque[Fields]] = {kind: deque(maxlen=_KEPT) for kind in _LISTS}
        self._lately: deque[dict[str, Any]] = deque(maxlen=_ROUNDS_SHOWN)
        self._records: dict[tuple[str, ...], Fields] = {}
        self._samples: dict[int, Fields] = {}
        self._generators: dict[int, Fields] = {}
        self._seconds: Counter[str] = Counter()
        self._images = self._rounds = self._grids = self._kept = self._not_understood = 0
        self._readers: dict[str, Callable[[Fields], None]] = {
            "begin": self._begin,
            "classes": self._fact("classes"),
            "stage-begin": self._fact("stage-begin"),
            "heartbeat": self._heartbeat,
            "join": self.clients.join,
            "round": self._round,
            "device": self.clients.device,
            "memory": self.clients.memory,
            "record": self._record,
            "ledger": self._ledger,
            "samples": self._sample,
            "generator": self._generator,
            "end": self._end,
            **{kind: self._lists[kind].append for kind in _LISTS},
            "membership": self._membership,
        }

    @property
    def patience(self) -> float:
        """Seconds without a line after which the run gives no sign of life."""
        beat = self._facts.get("begin", {}).get("heartbeat")
        return _HEARTBEATS * beat if isinstance(beat, int | float) else _PATIENCE

    @property
    def samples(self) -> Mapping[int, Fields]:
        """The last 1,000 sample grids, by round."""
        return self._samples

    @property
    def generators(self) -> Mapping[int, Fields]:
        """The generators that were written, by round; those that are gone too until :meth:`forget`."""
        return self._generators

    def forget(self, is_there: Callable[[str], object]) -> None:
        """Forget generators that made room for later ones, where there are many, and beyond 1,000 the oldest.

        Parameters
        ----------
        is_there : callable
            Told a file of the run, says whether it is there.
        """
        if len(self._generators) > _FILES:
            there = [each for each in self._generators.items() if is_there(str(each[1].get("file")))]
            self._generators = dict(there[-_MOST_FILES:])

    @property
    def tested(self) -> list[Fields]:
        """The pictures of what the model of each row of the table does worst and best on."""
        return list(self._lists["test-pictures"])

    @property
    def classes(self) -> Fields:
        """Names and colours of the classes, if the run says them."""
        return self._facts.get("classes", {})

    def take(self, event: Event) -> None:
        """Take the next event; one that is not what its kind says counts as not understood."""
        if event.time is not None:
            self.last_time = event.time
        reader = self._readers.get(event.kind)
        if reader is not None:
            try:
                if event.kind in _LISTS and event.record is None:
                    raise ValueError("not what its kind says")
                reader(event.fields)
            except (TypeError, ValueError, AttributeError, KeyError, OverflowError):
                self._not_understood += 1

    def _fact(self, kind: str) -> Callable[[Fields], None]:
        return lambda fields: self._facts.update({kind: fields})

    def _begin(self, fields: Fields) -> None:
        for name in ("attempt", "rounds", "done", "heartbeat"):
            number(fields.get(name, 0))
        self._facts["begin"], self.end = fields, None
        self._facts.pop("heartbeat", None)

    def _heartbeat(self, fields: Fields) -> None:
        for name in ("done", "of", "seconds_left"):
            if fields.get(name) is not None:
                number(fields[name])
        self._facts["heartbeat"] = fields

    def _end(self, fields: Fields) -> None:
        self.end = fields

    def _membership(self, fields: Fields) -> None:
        self.clients.change(fields)
        self._lists["membership"].append(fields)

    def _sample(self, fields: Fields) -> None:
        self._samples[round_number(fields)] = {"files": fields["files"]}
        self._grids += 1
        if len(self._samples) > _GRIDS:
            del self._samples[next(iter(self._samples))]

    def _generator(self, fields: Fields) -> None:
        self._generators[round_number(fields)] = fields
        self._kept += 1

    def _ledger(self, fields: Fields) -> None:
        for row in fields["rows"]:
            self._record(row)

    def _record(self, fields: Fields) -> None:
        key = tuple(str(fields.get(name)) for name in ("site", "direction", "record", "key"))
        if key in self._records or len(self._records) < _LEDGER_ROWS:
            self._records[key] = {name: value for name, value in fields.items() if name not in ("kind", "time")}

    def _round(self, fields: Fields) -> None:
        rounds, clients = round_number(fields), fields["clients"]
        seconds = {name: number(value) for name, value in fields["seconds"].items()}
        images = int(number(fields.get("images", 0)))
        self.curves.add(rounds, clients)
        self.clients.round(fields)
        self._rounds = max(self._rounds, rounds)
        self._seconds.update(seconds)
        self._images += images
        self._lately.append(
            {
                "round": rounds,
                "seconds": sum(seconds.values()),
                "answers": {
                    name: [done.get("busy_seconds"), done.get("arrived_seconds")] for name, done in clients.items()
                },
                "late": list(fields.get("late", ())),
                "rejected": dict(fields.get("rejected", {})),
                "repeats": dict(fields.get("repeats", {})),
            }
        )

    def records(self) -> list[Fields]:
        """Return what has crossed the wire, record by record."""
        return list(self._records.values())

    def seconds_left(self) -> float | None:
        """Return how long the training goes on, as the last rounds look; None where that is not known."""
        beat = self._facts.get("heartbeat", {})
        if beat.get("seconds_left") is not None:
            return float(beat["seconds_left"])
        rounds = self._facts.get("begin", {}).get("rounds")
        if not self._lately or not isinstance(rounds, int) or self._rounds >= rounds or self.end is not None:
            return None
        return float(median(each["seconds"] for each in self._lately)) * max(0, rounds - self._rounds)

    def shown(self) -> dict[str, Any]:
        """Return all but the curves, as values for JSON."""
        begin, beat = self._facts.get("begin", {}), self._facts.get("heartbeat", {})
        return {
            "begin": begin,
            "round": self._rounds,
            "rounds": begin.get("rounds"),
            "samples_count": self._grids,
            "generators_count": self._kept,
            "attempt": begin.get("attempt", 1),
            "stage": beat.get("stage") or self._facts.get("stage-begin", {}).get("name", ""),
            "steps": [beat.get("done", 0), beat.get("of", 0)],
            "seconds_left": self.seconds_left(),
            "images": self._images,
            "seconds": dict(self._seconds),
            "clients": self.clients.shown(),
            "lately": list(self._lately),
            "classes": self.classes,
            "not_understood": self._not_understood,
            "stage_ends": list(self._lists["stage"]),
            "tested_count": len(self._lists["test-pictures"]),
            **{kind: list(kept) for kind, kept in self._lists.items() if kind not in ("stage", "test-pictures")},
        }
