"""What left a node is in its owner's ledger before it leaves, and a ledger that was changed says so."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict

from flower_dgan import client_app
from flower_dgan.errors import PolicyError, StorageError
from flower_dgan.node import open_sessions, owner_ledger
from flower_dgan.node.approvals import Approvals
from flower_dgan.node.book import Book
from flower_dgan.node.new_book import PURPOSE, begin_new_book
from flower_dgan.node.outbound import check_and_note
from flower_dgan.node.owner_ledger import OwnerLedger, ledgers_in, line_hash
from flower_dgan.node.rounded import are_rounded
from flower_dgan.wire.join_messages import JOIN, LABEL_MAPS, LEAVE
from flower_dgan.wire.packing import pack_content
from flower_dgan.wire.parcels import PARCEL, PART, Parcel, Whole, room, state_of
from flower_dgan.wire.refusals import Refusal
from tests.clinic import BASE, FIRST, Clinic, settings
from tests.pairs import make_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("clinic"), sites=1, images=9, size=24)


@pytest.fixture
def clinic(folder: Path, tmp_path: Path) -> Iterator[Clinic]:
    open_sessions._OPEN.clear()
    yield Clinic(folder, tmp_path)
    open_sessions._OPEN.clear()


def ledger(home: Path) -> OwnerLedger:
    (found,) = ledgers_in(home / "state/flower-dgan")
    return found


def test_each_message_that_left_is_a_line_record_by_record(clinic: Clinic, own_home: Path) -> None:
    join, maps = clinic.join(), clinic.send(FIRST.to_records("request"), LABEL_MAPS)
    answer, refused = clinic.ask(1), clinic.ask(1, grey=7)
    again = clinic.ask(1)
    left = clinic.send(FIRST.to_records("leave"), LEAVE)
    verdict = ledger(own_home).verify()
    assert verdict.problems == ()
    assert [line["purpose"] for line in verdict.lines] == [
        "query.join",
        "query.label_maps",
        "train.exchange",
        "train.exchange",
        "train.exchange",
        "query.leave",
    ]
    for line, reply in zip(verdict.lines, (join, maps, answer, refused, again, left), strict=True):
        assert line["training"] == FIRST.identity
        if reply.has_error():
            assert (line["refusal"], line["reason"]) == (Refusal.PROTOCOL, reply.error.reason)
            continue
        data = pack_content(reply.content)
        assert (line["bytes"], line["digest"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert {each["record"]: set(each["holds"]) for each in line["records"]} == {
            name: set(record) for name, record in reply.content.items()
        }
        for each in line["records"]:
            data = pack_content(RecordDict({each["record"]: reply.content[each["record"]]}))
            assert (each["bytes"], each["digest"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert verdict.lines[2]["round"] == 1
    assert verdict.lines[2]["digest"] == verdict.lines[4]["digest"]


def room_for(size: int) -> int:
    """Return the smallest limit of a message that has room for so many bytes."""
    return next(limit for limit in range(1, 10**6) if room(limit) >= size)


def test_parts_of_a_large_answer_are_lines_too_and_end_with_their_training(clinic: Clinic, own_home: Path) -> None:
    clinic.join()
    reply = clinic.send(Parcel(FIRST.identity, room_for(700)).beside(FIRST.to_records("request")), LABEL_MAPS)
    assert PARCEL in reply.content
    *_, whole, part = ledger(own_home).verify().lines
    assert [each["record"] for each in whole["records"]] == ["node", "label-maps"]
    assert part["bytes"] == len(pack_content(reply.content))
    whole_answer = Parcel.from_records(reply.content).whole
    asks_for_more = Parcel(FIRST.identity, room_for(700), 1, whole_answer).records()
    assert clinic.refusal(clinic.send(asks_for_more, LABEL_MAPS)) is None
    rules = clinic.policy.read_text()
    clinic.policy.write_text(f"{rules}label_maps: false\n")  # which no whole answer would obey less
    assert clinic.refusal(clinic.send(asks_for_more, LABEL_MAPS)) == Refusal.LABEL_MAPS
    clinic.policy.write_text(f"{rules}approval_hours: 5\n")  # made under other rules: to be asked for anew
    assert state_of(clinic.send(asks_for_more, LABEL_MAPS).content) == "missing"
    Approvals().revoke(Approvals().all()[0].settings)
    assert clinic.refusal(clinic.send(asks_for_more, LABEL_MAPS)) == Refusal.REVOKED


def test_no_message_in_parts_is_larger_than_any_of_the_training(clinic: Clinic) -> None:
    """Two gigabytes in a training of 16 x 16 windows would fill the disk."""
    clinic.join()
    parcel = Parcel(FIRST.identity, 30_000, 0, Whole("0" * 64, 2_000_000_000, 20_000))
    assert clinic.refusal(clinic.send(parcel.records(bytes(100_000)), PART)) == Refusal.PROTOCOL


CHANGES: list[tuple[Callable[[list[str]], list[str]], str]] = [
    (
        lambda lines: [lines[0], lines[1].replace('"x"', '"y"'), *lines[2:]],
        "line 2 (message 2) was changed",
    ),
    (lambda lines: [lines[0], *lines[2:]], "line 2 is message 3, where message 2 is due"),
    (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1 is message 2, where message 1 is due"),
    (lambda lines: lines[:-1], "message 4, the last that the owner's book knows of, is missing"),
    (lambda lines: [lines[0], "not a line", *lines[2:]], "line 2 cannot be read"),
    (lambda lines: [*lines[:2], forged(lines[2]), *lines[3:]], "line 4 (message 4) does not follow the line before it"),
    (lambda lines: [], "message 4, the last that the owner's book knows of, is missing"),
]


def forged(line: str) -> str:
    """Return a line that was changed by somebody who knows how its hash is made."""
    values = json.loads(line) | {"bytes": 1}
    return json.dumps(values | {"hash": line_hash(values)})


@pytest.mark.parametrize(("change", "problem"), CHANGES)
def test_a_line_that_was_changed_removed_or_moved_is_named(
    change: Callable[[list[str]], list[str]], problem: str
) -> None:
    found = OwnerLedger.of("clinic")
    for number in range(4):
        found.note({"purpose": "x", "bytes": number, "records": []})
    assert found.verify().problems == ()
    lines = found.path.read_text().splitlines()
    found.path.write_text("".join(f"{line}\n" for line in change(lines)))
    assert any(each.startswith(problem) for each in found.verify().problems)


@pytest.mark.parametrize("kept", [0, 2])
def test_lines_that_were_cut_off_are_missed_after_the_next_message_too(kept: int) -> None:
    found = OwnerLedger.of("clinic")
    for number in range(4):
        found.note({"purpose": "x", "bytes": number, "records": []})
    found.path.write_text("".join(f"{line}\n" for line in found.path.read_text().splitlines()[:kept]))
    found.note({"purpose": "y", "records": []})
    assert found.verify().problems == (
        f"line {kept + 1} is message 5, where message {kept + 1} is due: removed or moved",
    )


def test_a_line_that_a_power_cut_tore_never_left() -> None:
    found = OwnerLedger.of("clinic")
    found.note({"purpose": "x", "records": []})
    with found.path.open("ab") as file:
        file.write(b'{"number": 2, "ti')
    found.note({"purpose": "y", "records": []})
    verdict = found.verify()
    assert ([line["purpose"] for line in verdict.lines], verdict.problems) == (["x", "y"], ())


def test_nothing_leaves_that_cannot_be_noted(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.join()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner_ledger.os, "fsync", full)
    reply = clinic.ask(1)
    assert clinic.refusal(reply) == Refusal.STORAGE
    assert not reply.has_content()


def with_more(content: RecordDict) -> RecordDict:
    content["images"] = ArrayRecord({"sizes": Array(np.zeros((9, 2), np.int32))})
    return content


def with_a_key(content: RecordDict) -> RecordDict:
    content.metric_records["metrics"]["patients"] = 3.0
    return content


def exact(content: RecordDict) -> RecordDict:
    content.metric_records["metrics"]["discriminator-loss"] = 0.12345
    return content


def with_weights(content: RecordDict) -> RecordDict:
    content["discriminator"] = ArrayRecord({"w": Array(np.zeros(3, np.float32))})
    return content


def with_images(content: RecordDict) -> RecordDict:
    """Real images in place of losses, under a name that may leave."""
    arrays = content.array_records["feedback"]
    arrays["losses"] = Array(np.zeros((9, 24, 24, 3), np.uint8))
    return content


@pytest.mark.parametrize("change", [with_more, with_a_key, exact, with_weights, with_images])
def test_an_answer_with_more_than_was_declared_does_not_leave(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, change: Callable[[RecordDict], RecordDict]
) -> None:
    """Whatever code made it: here the writer of answers itself is an attacker's."""
    write = client_app.write_answer
    monkeypatch.setattr(client_app, "write_answer", lambda *arguments: change(write(*arguments)))
    clinic.join()
    reply = clinic.ask(1)
    assert clinic.refusal(reply) == Refusal.UNDECLARED
    assert not reply.has_content()


def test_figures_leave_rounded_unless_the_owner_says_otherwise(clinic: Clinic) -> None:
    def figures(number: int) -> list[float]:
        metrics = clinic.ask(number).content.metric_records["metrics"]
        names = ("discriminator-loss", "busy-seconds", "compute-seconds", "peak-memory-mib")
        return [float(metrics[name]) for name in names]  # type: ignore[arg-type]

    clinic.join()
    loss, *costs = figures(1)
    assert loss * 10 == pytest.approx(round(loss * 10), abs=1e-9)
    assert all(np.log2(cost) == int(np.log2(cost)) for cost in costs)
    clinic.policy.write_text(f"{BASE}exact_figures: true\n")
    assert any(np.log2(cost) != int(np.log2(cost)) for cost in figures(2)[1:])


def test_a_book_of_another_machine_knows_nothing_of_a_ledger(tmp_path: Path) -> None:
    found = OwnerLedger.of("clinic")
    found.note({"purpose": "x", "records": []})
    moved = OwnerLedger(found.path, Book(tmp_path / "book.sqlite"))
    assert moved.verify().problems == ("the owner's book knows nothing of this ledger",)


@pytest.mark.parametrize("node", ["clinic", "other"])
def test_an_older_book_that_was_put_back_is_noticed(tmp_path: Path, own_home: Path, node: str) -> None:
    """By any node of the user. One line ahead of the book is that of a process that died, and no older book."""
    found = OwnerLedger.of("clinic")
    found.note({"purpose": "x", "records": []})
    old = Book().path.read_bytes()
    found.note({"purpose": "x", "records": []})
    newest = Book().path.read_bytes()
    Book().path.write_bytes(old)
    found.require_newest_book()
    Book().path.write_bytes(newest)
    found.note({"purpose": "x", "records": []})
    Book().path.write_bytes(old)
    assert any("is an older one, put back" in each for each in found.verify().problems)
    with pytest.raises(StorageError, match=r"knows of 1 of 3 messages.*policy new-book"):
        OwnerLedger.of(node).note({"purpose": "x", "records": []})
    begin_new_book(own_home / "state/flower-dgan")
    found.note({"purpose": "x", "records": []})
    verdict = found.verify()
    assert ([line["purpose"] for line in verdict.lines[3:]], verdict.problems) == ([PURPOSE, "x"], ())


def test_a_copy_of_a_ledger_is_read_without_a_change(tmp_path: Path) -> None:
    found = OwnerLedger.of("clinic")
    found.note({"purpose": "x", "records": []})
    copy = tmp_path / "ledger/clinic.jsonl"
    copy.parent.mkdir()
    copy.write_bytes(found.path.read_bytes())
    (verdict,) = (each.verify() for each in ledgers_in(tmp_path))
    assert verdict.problems == ("the owner's book knows nothing of this ledger",)
    assert [each.name for each in tmp_path.iterdir()] == ["ledger"]


@pytest.mark.parametrize("values", [{"levels": [1, 2, 3, 4, 5, 6, 1]}, {"name": "x" * 10**6}, {"token": "0" * 32}])
def test_a_join_tells_no_more_than_it_may(clinic: Clinic, values: dict[str, Any]) -> None:
    extra = "model.levels=none"
    answer = clinic.join(extra).content
    answer.config_records["node"].update(values)
    message = Message(FIRST.to_records("join"), dst_node_id=1, message_type=JOIN, group_id="1")
    with pytest.raises(PolicyError, match="another form than it should have"):
        check_and_note(message, answer, clinic.node_config)


def test_the_loss_is_as_coarse_whatever_it_is_multiplied_by() -> None:
    """A tenth of a loss of weight 100 is 10."""
    config = settings("algorithm.discriminator_weight=100.0")
    metrics = {"discriminator-loss": 70.0, "busy-seconds": 1.0, "compute-seconds": 1.0, "peak-memory-mib": 1024.0}
    assert are_rounded(metrics, config)
    assert not are_rounded(metrics | {"discriminator-loss": 70.1}, config)
    assert are_rounded(metrics | {"discriminator-loss": round(0.7 / 0.1) * 0.1}, settings())
