"""The events of a run: what is written is read again, line by line, while it grows and after it was cut."""

import json
import os
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from threading import Thread

import pytest

from flower_dgan.errors import DataError
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.run.crossing_records import RecordCount
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.event_reader import Event, EventReader, read_events
from flower_dgan.run.events import KIND_OF, KINDS, typed
from flower_dgan.run.member_records import Change, Join
from flower_dgan.run.outcome_records import End, Stage
from flower_dgan.run.round_records import ClientRound, Round
from flower_dgan.run.status_records import (
    Begin,
    Classes,
    Heartbeat,
    KeptGenerator,
    LedgerRows,
    Look,
    SampleFile,
    Samples,
    StageBegin,
)

CLIENT = ClientRound(0.5, 2.0, 1.5, 1.25, 2000, 400, 0, 0.5, arrived_seconds=1.75, score=-1.5, feedback_length=0.25)
ROUND = Round(1, {"generator": 1.0}, 32, {"a": CLIENT}, {"b": "no reply in time"}, 0, ("b",), {"b": 2}, attempt=2)
COUNT = RecordCount("a", "from node", "feedback", "gradients", "float16", "8 x 1", 3, 4096)
BEGIN = Begin(1, "0.1.0", 60, 0, "dgan", "bce", "moved", "images", 1.386, 0.0, 8, 10, 30.0)
RECORDS = [
    BEGIN,
    Classes(("background", "nucleus"), ("#000000", "#ff0000")),
    Join("a", "11", 1200, "all", (40, 41, 42), (9, 9, 9)),
    Change("b", "is back", 3, "came back"),
    StageBegin("training", 1),
    Stage("training", 3.5, "failed", "the disk is full"),
    Heartbeat(1, "training", 3, 60, 71.5),
    ROUND,
    Samples(
        10,
        "samples/round-00010.png",
        (SampleFile(0, "a/b", "draw 1", "samples/round-00010/0-draw-1.png"),),
        {"a/b": Look(None, 0.25, (127.5,), (64.0,))},
    ),
    KeptGenerator(10, "generators/00000010.safetensors"),
    LedgerRows(10, (COUNT,)),
    End("stopped", "it was ended from outside (SystemExit)", 1),
]


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    ticks: Iterator[float] = iter(range(1000, 2000))
    return EventLog(tmp_path, lambda: next(ticks))


def test_what_is_written_is_what_is_read(tmp_path: Path, log: EventLog) -> None:
    for record in RECORDS:
        log.write(record)
    events = read_events(tmp_path)
    assert [event.record for event in events] == RECORDS
    assert [event.kind for event in events] == [KIND_OF[type(record)] for record in RECORDS]
    assert [event.time for event in events] == [1000.0 + index for index in range(len(RECORDS))]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_needs_is_asked_for(kind: str) -> None:
    needed = [each.name for each in fields(KINDS[kind]) if each.default is MISSING]
    with pytest.raises(ValueError, match=f"the field '{'row' if kind == 'tstr' else needed[0]}' is missing"):
        typed({"kind": kind})


def test_lines_of_an_earlier_version_are_read() -> None:
    """Without time, and without what came later."""
    change = {"kind": "membership", "who": "b", "what": "came", "round": 3}
    assert typed(change) == Change("b", "came", 3, "")
    assert typed({"kind": "stage", "name": "join", "seconds": 2}) == Stage("join", 2, "finished", "")


def test_a_time_is_no_metric_of_a_table_row() -> None:
    line = {"kind": "tstr", "time": 17.5, "row": "DGAN", "seed": 3, "dice": 0.5, "of_later": 2}
    assert typed(line).values == {"dice": 0.5, "of_later": 2}


def test_a_reader_gets_each_line_once_and_no_torn_one(tmp_path: Path, log: EventLog) -> None:
    reader = EventReader(tmp_path)
    assert reader.read() == ([], False, 0)  # there is no file yet
    log.write(RECORDS[0])
    log.write(RECORDS[1])
    assert [event.record for event in reader.read().events] == RECORDS[:2]
    with log.path.open("ab") as file:
        file.write(b'{"kind": "stage-beg')
    assert reader.read() == ([], False, 0)
    with log.path.open("ab") as file:
        file.write(b'in", "name": "join", "attempt": 1}\n[1]\nno json\n{"kind": "tide", "high": 2}\n')
    events, anew, damaged = reader.read()
    assert [(event.kind, event.record) for event in events] == [("stage-begin", StageBegin("join", 1)), ("tide", None)]
    assert (anew, damaged) == (False, 2)
    assert events[1].fields["high"] == 2
    assert reader.read() == ([], False, 0)


@pytest.mark.parametrize("more", [0, 1, 10], ids=["shorter", "as long", "longer than what was read"])
def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path, log: EventLog, more: int) -> None:
    for record in RECORDS[:4]:
        log.write(record)
    reader = EventReader(tmp_path)
    assert len(reader.read().events) == 4
    log.path.write_bytes(b"".join(log.path.read_bytes().splitlines(keepends=True)[:3]))
    for _ in range(more):
        log.write(RECORDS[3])  # with a later time
    events, anew, _ = reader.read()
    assert anew
    assert [event.record for event in events] == RECORDS[:3] + more * [RECORDS[3]]


def test_a_field_of_another_type_is_told_to_whoever_is_strict(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "stage", "name": 3, "seconds": 1}\n')
    (event,) = read_events(tmp_path)
    assert event.record is None
    with pytest.raises(DataError, match="line 1: the field 'name' is 3, not a str"):
        read_metrics(tmp_path)


ODD = [
    ('{"kind": "tide", "time": %s}' % ("9" * 400), None, 0),
    ('{"kind": "tide", "time": -Infinity}', None, 0),
    ('{"kind": "tide", "time": NaN}', None, 0),
    ('{"kind": "tide", "time": 17.5}', 17.5, 0),
    ("[" * 200_000, None, 1),
    ('{"kind": "tide", "deep": ' + "[" * 32 + "]" * 32 + "}", None, 1),
    ('{"kind": "tide", "deep": ' + "[" * 31 + "]" * 31 + "}", None, 0),
    ('{"kind": "tide", "wide": [' + ", ".join(["[]"] * 100) + "]}", None, 0),
    ('{"kind": "tide", "text": "' + "[" * 100 + '"}', None, 0),
]


@pytest.mark.parametrize(("line", "time", "damaged"), ODD, ids=range(len(ODD)))
def test_an_odd_line_costs_none_but_itself(tmp_path: Path, line: str, time: float | None, damaged: int) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{line}\n{{"kind": "stage-begin", "name": "join", "attempt": 1}}\n')
    events, _, passed_over = EventReader(tmp_path).read()
    assert passed_over == damaged
    assert [event.time for event in events] == [*[time] * (1 - damaged), None]
    assert events[-1].record == StageBegin("join", 1)
    if damaged:
        with pytest.raises(DataError, match=r"line 1: .*Delete the line"):
            read_metrics(tmp_path)


def test_a_number_with_which_nobody_can_calculate_is_no_record() -> None:
    for rounds, known in ((2**63 - 1, True), (2**63, False), (-(2**63), False), (10**400, False)):
        assert (Event.of({"kind": "begin", **vars(BEGIN), "rounds": rounds}).record is not None) is known


def test_neither_a_pipe_nor_a_link_is_read(tmp_path: Path) -> None:
    """A pipe that nobody writes to would be waited for without end."""
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(DataError, match="no regular file"):
        EventReader(tmp_path).read()
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "elsewhere").write_text('{"kind": "tide"}\n')
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="links are not followed"):
        EventReader(tmp_path).read()


def test_lines_of_several_threads_are_whole(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    threads = [
        Thread(target=lambda: [log.write(Heartbeat(1, "x" * 5000, 0, 0, None), durable=False) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(event.record.stage) for event in read_events(tmp_path)] == 80 * [5000]


def test_a_run_that_was_killed_reports_the_bytes_it_last_noted(tmp_path: Path, log: EventLog) -> None:
    log.write(LedgerRows(0, ()))
    log.write(LedgerRows(10, (COUNT,)))
    assert read_metrics(tmp_path).records == (COUNT,)
    log.write(RecordCount("a", "from node", "feedback", "gradients", "float16", "8 x 1", 5, 9000))
    assert [each.bytes for each in read_metrics(tmp_path).records] == [9000]


def test_the_end_of_an_attempt_is_not_that_of_the_one_that_goes_on(tmp_path: Path, log: EventLog) -> None:
    log.write(BEGIN)
    log.write(End("failed", "the disk is full", 1))
    assert read_metrics(tmp_path).end == End("failed", "the disk is full", 1)
    log.measure("begin", {**json.loads(log.path.read_text().splitlines()[0]), "kind": "begin", "attempt": 2})
    assert read_metrics(tmp_path).end is None
