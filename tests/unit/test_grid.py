"""The fast grid on Flower's own link state, and the ledger."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger
from tests.superlink import Node, SuperLink

app = ClientApp()


@app.query("double")
def double(message: Message, context: Context) -> Message:
    values = message.content.array_records["values"]["x"].numpy()
    return Message(RecordDict({"answer": ArrayRecord({"y": Array(2 * values)})}), reply_to=message)


@pytest.fixture
def link() -> Iterator[SuperLink]:
    """Return a SuperLink of a run; its nodes end with the test."""
    link = SuperLink()
    yield link
    link.close()


@pytest.fixture
def nodes(link: SuperLink) -> list[Node]:
    """Return three nodes."""
    return [link.add(app, f"key {number}") for number in range(3)]


@pytest.fixture
def grid(link: SuperLink, nodes: list[Node]) -> Iterator[FastGrid]:
    """Return the fast grid of the three nodes."""
    grid = FastGrid(link.grid, Ledger())
    yield grid
    grid.give_up()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let silence be answered with another message after 0.05 s."""
    monkeypatch.setattr("flower_dgan.flower.patience._FIRST", 0.05)
    monkeypatch.setattr("flower_dgan.flower.patience._SHORTEST", 0.05)
    monkeypatch.setattr("flower_dgan.flower.grid._LONGEST_NAP", 0.02)


def messages(*nodes: Node, group: str = "") -> list[Message]:
    """Return a message for each node."""
    values = ArrayRecord({"x": Array(np.arange(3, dtype=np.float32))})
    content = RecordDict({"values": values, "extra": ConfigRecord({"n": 1})})
    return [
        Message(content, dst_node_id=node.node_id, message_type="query.double", group_id=group or None)
        for node in nodes
    ]


def in_groups(*named: tuple[Node, str]) -> list[Message]:
    return [message for node, group in named for message in messages(node, group=group)]


def answered(replies: Iterable[Message]) -> set[tuple[int, str]]:
    return {(reply.metadata.src_node_id, reply.metadata.group_id) for reply in replies}


def expected(*named: tuple[Node, str]) -> set[tuple[int, str]]:
    return {(node.node_id, group) for node, group in named}


def eventually(happened: Callable[[], object]) -> None:
    """Wait until something is the case; a test whose wait ends after 20 s has failed."""
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def meanwhile(work: Callable[[], object]) -> threading.Thread:
    """Do something while the grid waits."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_replies_come_as_soon_as_they_are_there(grid: FastGrid, nodes: list[Node], link: SuperLink) -> None:
    replies = grid.send_and_receive(messages(*nodes), timeout=30)
    assert answered(replies) == expected(*((node, "") for node in nodes))
    np.testing.assert_array_equal(replies[0].content.array_records["answer"]["y"].numpy(), [0, 2, 4])
    assert set(grid.arrivals) == {node.node_id for node in nodes}
    assert max(grid.arrivals.values()) < 3  # Flower's own grid sleeps 3 s between two questions
    assert link.asked_in_vain == []


def test_silent_nodes_are_given_up_after_the_timeout(grid: FastGrid, nodes: list[Node]) -> None:
    nodes[1].answers.clear()
    replies = grid.send_and_receive(messages(*nodes), timeout=0.5)
    assert answered(replies) == expected((nodes[0], ""), (nodes[2], ""))
    assert set(grid.arrivals) == {nodes[0].node_id, nodes[2].node_id}


def test_no_message_needs_no_question(grid: FastGrid, link: SuperLink) -> None:
    assert grid.send_and_receive([], timeout=5) == []
    assert link.asked == []


def test_messages_are_sent_while_they_are_made(grid: FastGrid, nodes: list[Node], link: SuperLink) -> None:
    pushed_before_the_second_was_made = []

    def make() -> Iterator[Message]:
        first, second = messages(*nodes[:2])
        yield first
        pushed_before_the_second_was_made.append(link.pushes)
        yield second

    grid.send_and_receive(make(), timeout=5)
    assert pushed_before_the_second_was_made == [1]


def test_messages_sent_ahead_are_answered_in_later_calls(grid: FastGrid, nodes: list[Node]) -> None:
    a, b, _ = nodes
    grid.await_group("1")
    replies = grid.send_and_receive(in_groups((a, "1"), (b, "1"), (a, "2"), (b, "2")))
    assert answered(replies) == expected((a, "1"), (b, "1"))
    assert grid.send_and_receive([]) == []  # a call for something else between two rounds
    grid.await_group("2")
    assert answered(grid.send_and_receive(in_groups((a, "3"), (b, "3")))) == expected((a, "2"), (b, "2"))
    grid.await_group("3")
    assert answered(grid.send_and_receive([])) == expected((a, "3"), (b, "3"))


def test_a_node_without_a_queue_has_one_message_at_a_time(grid: FastGrid, nodes: list[Node], link: SuperLink) -> None:
    a, b, _ = nodes
    grid.queues.add(a.node_id)
    for node in (a, b):
        node.answers.clear()
    pushed_before_a_reply = []

    def make() -> Iterator[Message]:
        yield from in_groups((a, "1"), (b, "1"), (a, "2"), (b, "2"))
        pushed_before_a_reply.append(link.pushes)
        for node in (a, b):
            node.answers.set()

    grid.await_group("1")
    grid.send_and_receive(make())
    assert pushed_before_a_reply == [3]
    grid.await_group("2")
    assert answered(grid.send_and_receive([])) == expected((a, "2"), (b, "2"))


def test_a_node_that_is_given_up_gets_its_next_message(grid: FastGrid, nodes: list[Node]) -> None:
    a, b, _ = nodes
    b.answers.clear()
    grid.await_group("1")
    replies = grid.send_and_receive(in_groups((a, "1"), (b, "1"), (b, "2")), timeout=0.3)
    assert answered(replies) == expected((a, "1"))
    b.answers.set()
    grid.await_group("2")
    assert answered(grid.send_and_receive([], timeout=20)) == expected((b, "2"))


def test_enough_replies_end_the_wait_and_the_others_come_later(grid: FastGrid, nodes: list[Node]) -> None:
    """One is silent at first; two of three close the first call, its late reply and a new one the second."""
    a, b, c = nodes
    b.answers.clear()
    grid.await_any(2, None)
    assert answered(grid.send_and_receive(in_groups((a, "1"), (b, "1"), (c, "1")))) == expected((a, "1"), (c, "1"))
    b.answers.set()
    grid.await_any(2, None)
    assert answered(grid.send_and_receive(in_groups((a, "2")))) == expected((a, "2"), (b, "1"))


def test_replies_as_they_come_make_room_for_the_next_messages(
    grid: FastGrid, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower_dgan.flower.grid._MOST_OUT", 1)
    made: list[int] = []

    def make() -> Iterator[Message]:
        for message in in_groups(*((node, group) for group in "12" for node in nodes)):
            made.append(message.metadata.dst_node_id)
            yield message

    grid.await_group("1", as_they_come=True)
    replies = iter(grid.send_and_receive(make(), timeout=20))
    assert made == []
    for number, node in enumerate(nodes, start=1):
        reply = next(replies)
        assert (reply.metadata.src_node_id, reply.metadata.group_id) == (node.node_id, "1")
        assert len(made) == number
    assert list(replies) == []
    assert len(made) == 6  # drawn from the generator as it was in this round
    grid.await_group("2", as_they_come=True)
    assert answered(grid.send_and_receive([], timeout=20)) == expected(*((node, "2") for node in nodes))


def test_messages_for_which_no_room_was_made_in_time_are_made_and_not_sent(
    grid: FastGrid, nodes: list[Node], link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower_dgan.flower.grid._MOST_OUT", 1)
    silent, other, _ = nodes
    silent.answers.clear()
    made = []
    messages_of_round = in_groups((silent, "1"), (other, "1"), (other, "2"))
    grid.await_group("1", as_they_come=True)
    assert list(grid.send_and_receive((made.append(each) or each for each in messages_of_round), timeout=0.3)) == []
    assert len(made) == 3
    grid.await_group("2", as_they_come=True)
    assert answered(grid.send_and_receive([], timeout=20)) == expected((other, "2"))
    assert link.pushes == 2


def test_a_deadline_wants_one_reply_at_least(grid: FastGrid, nodes: list[Node]) -> None:
    a, b, _ = nodes
    a.answers.clear()
    b.answers.clear()
    meanwhile(lambda: (time.sleep(0.3), a.answers.set()))
    grid.await_any(2, 0.001)
    assert answered(grid.send_and_receive(in_groups((a, "1"), (b, "1")))) == expected((a, "1"))


def test_a_node_whose_reply_is_given_up_may_have_another_message(
    grid: FastGrid, nodes: list[Node], link: SuperLink
) -> None:
    """It has no queue, and its reply to the first was not waited for."""
    late, other, _ = nodes
    late.answers.clear()
    grid.await_any(1, None)
    assert answered(grid.send_and_receive(in_groups((late, "1"), (other, "1")))) == expected((other, "1"))
    grid.give_up()
    eventually(lambda: not any(thread.name.startswith("pull") for thread in threading.enumerate()))
    late.answers.set()
    assert answered(grid.send_and_receive(messages(late), timeout=20)) == expected((late, ""))


def test_one_node_is_given_up_while_others_are_waited_for(
    grid: FastGrid, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, other, _ = nodes
    silent.answers.clear()
    other.answers.clear()

    def give_up() -> None:
        grid.give_up(silent.node_id)
        other.answers.set()
        grid.while_waiting = lambda: None

    monkeypatch.setattr("flower_dgan.flower.grid._LOOK", 0.0)
    grid.while_waiting = give_up
    assert answered(grid.send_and_receive(in_groups((silent, "1"), (other, "1"), (silent, "2")))) == expected(
        (other, "1")
    )
    silent.answers.set()
    assert answered(grid.send_and_receive(in_groups((silent, "3")))) == expected((silent, "3"))


def test_errors_do_not_close_a_round_but_come_with_it(grid: FastGrid, nodes: list[Node]) -> None:
    a, b, _ = nodes
    a.answers.clear()
    meanwhile(lambda: (eventually(lambda: b.taken), time.sleep(0.2), a.answers.set()))
    grid.await_any(1, None)
    broken = Message(RecordDict(), dst_node_id=b.node_id, message_type="query.double", group_id="1")
    replies = grid.send_and_receive([broken, *in_groups((a, "1"))])
    assert {(reply.metadata.src_node_id, reply.has_error()) for reply in replies} == {
        (b.node_id, True),
        (a.node_id, False),
    }


@pytest.mark.usefixtures("impatient")
def test_a_reply_on_its_way_is_waited_for_and_holds_nobody_up(
    grid: FastGrid, nodes: list[Node], link: SuperLink
) -> None:
    """The uploads of one node stand still for many times the grid's patience."""
    slow, fast, _ = nodes
    slow.uploads.clear()
    grid.await_any(1, None)
    assert answered(grid.send_and_receive(in_groups((slow, "1"), (fast, "1")))) == expected((fast, "1"))
    grid.await_any(1, None)
    assert answered(grid.send_and_receive(in_groups((fast, "2")))) == expected((fast, "2"))
    meanwhile(lambda: (time.sleep(1.0), slow.uploads.set()))
    grid.await_any(1, None)
    assert answered(grid.send_and_receive([])) == expected((slow, "1"))
    assert slow.taken["query.double"] == 1
    assert grid.repeats == {}
    assert link.asked_in_vain == []
    assert grid.ledger.counts[slow.node_id, TO_NODE, "values", "x"].messages == 1


@pytest.mark.usefixtures("impatient")
def test_a_reply_that_breaks_off_is_asked_for_once_more(
    grid: FastGrid, nodes: list[Node], link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower forgets it when no part came for a while, 3 minutes by default."""
    monkeypatch.setattr("flwr.supercore.corestate.in_memory_corestate.OBJECT_PUSH_SESSION_TTL_SECONDS", 0.5)
    (node, *_) = nodes
    node.breaks_off = 1
    assert answered(grid.send_and_receive(in_groups((node, "1")), timeout=20)) == expected((node, "1"))
    assert node.taken["query.double"] == 2
    assert grid.repeats == {node.node_id: 1}
    assert link.asked_in_vain == []
    assert grid.ledger.counts[node.node_id, FROM_NODE, "answer", "y"].messages == 1


@pytest.mark.usefixtures("impatient")
def test_silence_is_answered_with_another_message_and_one_reply_counts(grid: FastGrid, nodes: list[Node]) -> None:
    (node, *_) = nodes
    node.answers.clear()
    meanwhile(lambda: (eventually(lambda: grid.repeats[node.node_id]), node.answers.set()))
    assert answered(grid.send_and_receive(in_groups((node, "1")))) == expected((node, "1"))
    assert grid.repeats[node.node_id] >= 1
    assert grid.ledger.counts[node.node_id, FROM_NODE, "answer", "y"].messages == 1
    assert grid.send_and_receive([]) == []


@pytest.mark.usefixtures("impatient")
def test_silence_is_answered_less_and_less_often(grid: FastGrid, nodes: list[Node]) -> None:
    """After 0.05, 0.1, 0.2, 0.4, 0.8 s; a wait for another kind of message says nothing about this one."""
    (node, *_) = nodes
    node.answers.clear()
    grid._patience.note("train", 1000.0)
    grid.send_and_receive(messages(node), timeout=1.0)
    assert 1 <= grid.repeats[node.node_id] <= 4


def test_a_large_message_is_given_the_time_that_a_slow_link_needs(
    grid: FastGrid, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 values and numpy's header are 140 bytes: 0.05 s and 1000 s at 0.14 bytes a second."""
    monkeypatch.setattr("flower_dgan.flower.patience._FIRST", 0.05)
    monkeypatch.setattr("flower_dgan.flower.patience._SLOWEST_LINK", 0.14)
    nodes[0].answers.clear()
    grid.send_and_receive(messages(nodes[0]), timeout=0.6)
    assert grid.repeats == {}


def test_a_node_that_is_away_gets_its_message_when_it_is_back(
    grid: FastGrid, nodes: list[Node], link: SuperLink, caplog: pytest.LogCaptureFixture
) -> None:
    (node, *_) = nodes
    grid.names[node.node_id] = "north"
    node.away()
    eventually(lambda: node.node_id not in link.state.get_nodes(link.run_id))
    pushes_while_away = []

    def come_back() -> None:
        eventually(lambda: "NODE_UNAVAILABLE" in caplog.text)
        time.sleep(2.5)  # it is looked for after 1 and 3 s
        pushes_while_away.append(link.pushes)
        node.back()

    with caplog.at_level(logging.INFO, "flwr"):
        meanwhile(come_back)
        assert answered(grid.send_and_receive(in_groups((node, "1")), timeout=30)) == expected((node, "1"))
    assert pushes_while_away == [1]
    assert grid.repeats == {node.node_id: 1}
    (warning,) = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert warning.startswith(f"No reply from north (node {node.node_id}) to query.double. NODE_UNAVAILABLE: ")


def test_a_message_that_nobody_takes_is_brought_seldom_and_not_counted(
    grid: FastGrid, nodes: list[Node], link: SuperLink, caplog: pytest.LogCaptureFixture
) -> None:
    """At 0, 1 and 3 s, next at 7; who left is named once, and nothing was sent, so nothing again."""
    (node, *_) = nodes
    node.leave()
    with caplog.at_level(logging.INFO, "flwr"):
        assert grid.send_and_receive(messages(node), timeout=4) == []
    assert link.pushes == 3
    assert grid.ledger.counts == {}
    assert grid.repeats == {}
    warnings = [each.message for each in caplog.records if each.name == "flwr" and each.message.startswith("No reply")]
    assert len(warnings) == 1
    assert f"node {node.node_id}" in warnings[0]
    assert "Flower has it no more" in warnings[0]


def test_a_reply_of_the_node_before_counts_for_the_one_in_its_place(
    grid: FastGrid, nodes: list[Node], link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given before the redirection, and is taken after it."""
    before, after, _ = nodes
    after.answers.clear()
    before.uploads.clear()

    def take_its_place() -> None:
        if link.claimed and not before.uploads.is_set():
            grid.redirect(before.node_id, after.node_id)
            before.uploads.set()

    monkeypatch.setattr("flower_dgan.flower.grid._LOOK", 0.0)
    grid.while_waiting = take_its_place
    assert answered(grid.send_and_receive(in_groups((before, "7")), timeout=20)) == expected((after, "7"))
    assert set(grid.arrivals) == {after.node_id}


def test_the_node_in_its_place_is_asked_at_once(
    grid: FastGrid, nodes: list[Node], link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply of the one before stays half-way."""
    before, after, _ = nodes
    before.uploads.clear()

    def take_its_place() -> None:
        if link.claimed:
            grid.redirect(before.node_id, after.node_id)

    monkeypatch.setattr("flower_dgan.flower.grid._LOOK", 0.0)
    grid.while_waiting = take_its_place
    assert answered(grid.send_and_receive(in_groups((before, "7")), timeout=20)) == expected((after, "7"))
    assert before.taken == after.taken == {"query.double": 1}


def test_a_line_says_who_is_awaited_and_for_how_long(
    grid: FastGrid, nodes: list[Node], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("flower_dgan.flower.waiting_lines._SECONDS", 0.2)
    a, b, _ = nodes
    grid.names[a.node_id] = "north"
    grid.send_and_receive(messages(a))
    for node in (a, b):
        node.answers.clear()
    with caplog.at_level(logging.INFO, "flwr"):
        grid.send_and_receive(messages(a, b), timeout=1)
    lines = [each.message for each in caplog.records if each.message.startswith("Waiting")]
    assert 2 <= len(lines) <= 4
    assert lines[0] == f"Waiting for north: 0 of about 0 s, node {b.node_id}: 0 s"


def test_a_process_ends_though_a_reply_stays_half_way() -> None:
    code = """
from tests.superlink import SuperLink
from tests.unit.test_grid import app, messages
from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import Ledger
link = SuperLink()
node = link.add(app, "key")
node.uploads.clear()
assert FastGrid(link.grid, Ledger()).send_and_receive(messages(node), timeout=2) == []
assert link.claimed
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_ledger_counts_every_key_in_both_directions(grid: FastGrid, nodes: list[Node]) -> None:
    ledger, (node, other, _) = grid.ledger, nodes
    for _ in range(2):
        grid.send_and_receive(messages(node), timeout=5)
    rows = {(each, way, record, key): count for each, way, record, key, count in ledger.rows()}
    sent, came = rows[node.node_id, TO_NODE, "values", "x"], rows[node.node_id, FROM_NODE, "answer", "y"]
    # three float32 values and numpy's header of 128 bytes, twice
    assert sent.bytes == came.bytes == 2 * (3 * 4 + 128)
    assert came.messages == 2
    assert (came.dtype, came.shape) == ("float32", "3")
    assert rows[node.node_id, TO_NODE, "extra", "n"].bytes == 2
    assert ledger.bytes(node.node_id, TO_NODE) == 2 * (3 * 4 + 128) + 2
    assert ledger.bytes(other.node_id, TO_NODE) == 0


def test_a_saved_ledger_goes_on_under_new_node_ids(link: SuperLink, nodes: list[Node]) -> None:
    before, after = Ledger(), Ledger()
    a, b, c = nodes
    FastGrid(link.grid, before).send_and_receive(messages(a, b), timeout=5)
    FastGrid(link.grid, after).send_and_receive(messages(c), timeout=5)
    saved = json.loads(json.dumps(before.saved({a.node_id: "north", b.node_id: "south"})))
    after.restore(saved, {"north": c.node_id})
    assert after.counts[c.node_id, TO_NODE, "values", "x"].messages == 2
    assert after.bytes(c.node_id, FROM_NODE) == 2 * before.bytes(a.node_id, FROM_NODE)
    assert after.bytes(b.node_id, FROM_NODE) == 0


def test_ledger_counts_errors(nodes: list[Node]) -> None:
    ledger = Ledger()
    (message,) = messages(nodes[0])
    ledger.add(1, FROM_NODE, Message(Error(code=1000, reason="refused"), reply_to=message))
    assert [(row[2], row[4].bytes) for row in ledger.rows()] == [("error", 7)]


def test_a_large_reply_tells_how_fast_a_link_is(grid: FastGrid, nodes: list[Node], link: SuperLink) -> None:
    """Two thirds of a second for 400 kB; what is small tells nothing."""
    slow, small, _ = nodes
    slow.uploads.clear()
    meanwhile(lambda: (eventually(lambda: link.claimed), time.sleep(0.67), slow.uploads.set()))
    large = RecordDict({"values": ArrayRecord({"x": Array(np.zeros(100_000, np.float32))})})
    content = Message(large, dst_node_id=slow.node_id, message_type="query.double")
    grid.send_and_receive([content, *messages(small)], timeout=20)
    assert set(grid.rates) == {slow.node_id}
    assert 1000 < grid.rates[slow.node_id] < 400_000 / 0.6
