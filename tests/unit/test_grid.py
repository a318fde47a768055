"""The fast grid around a grid whose replies come late, and the ledger."""

import json
import threading
import time
from collections.abc import Iterable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from flower_dgan.runtime.flower_internals import LOST
from flower_dgan.runtime.grid import FastGrid
from flower_dgan.runtime.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.runtime.ledger import FROM_NODE, TO_NODE, Ledger

app = ClientApp()


@app.query("double")
def double(message: Message, context: Context) -> Message:
    values = message.content.array_records["values"]["x"].numpy()
    return Message(RecordDict({"answer": ArrayRecord({"y": Array(2 * values)})}), reply_to=message)


class LateGrid(InProcessGrid):
    """Gives a reply only after some polls, and never for the nodes that are silent."""

    def __init__(self, polls: int, silent: Iterable[int] = ()) -> None:
        super().__init__(app, simulated_contexts(3, ""))
        self._polls_left = polls
        self._silent = set(silent)
        self.polls = 0

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.polls += 1
        if self.polls <= self._polls_left:
            return []
        ready = [i for i in message_ids if i in self._replies and self._node(i) not in self._silent]
        return super().pull_messages(ready)

    def _node(self, message_id: str) -> int:
        return self._replies[message_id].metadata.src_node_id


def messages(*nodes: int) -> list[Message]:
    values = ArrayRecord({"x": Array(np.arange(3, dtype=np.float32))})
    return [
        Message(
            RecordDict({"values": values, "extra": ConfigRecord({"n": 1})}), dst_node_id=n, message_type="query.double"
        )
        for n in nodes
    ]


def test_replies_come_as_soon_as_they_are_there() -> None:
    late = LateGrid(polls=4)
    grid = FastGrid(late, Ledger())
    start = time.monotonic()
    replies = grid.send_and_receive(messages(1, 2, 3), timeout=30)
    assert sorted(reply.metadata.src_node_id for reply in replies) == [1, 2, 3]
    np.testing.assert_array_equal(replies[0].content.array_records["answer"]["y"].numpy(), [0, 2, 4])
    assert late.polls == 5
    assert set(grid.arrivals) == {1, 2, 3}
    assert time.monotonic() - start < 3  # Flower's own grid sleeps 3 s before its second poll in deployment


def test_silent_nodes_are_given_up_after_the_timeout() -> None:
    grid = FastGrid(LateGrid(polls=0, silent=[2]), Ledger())
    replies = grid.send_and_receive(messages(1, 2, 3), timeout=0.3)
    assert sorted(reply.metadata.src_node_id for reply in replies) == [1, 3]
    assert set(grid.arrivals) == {1, 3}


def test_no_message_needs_no_poll() -> None:
    late = LateGrid(polls=0)
    assert FastGrid(late, Ledger()).send_and_receive([], timeout=5) == []
    assert late.polls == 0


def test_messages_are_sent_while_they_are_made() -> None:
    late = LateGrid(polls=0)
    sent_before_the_second_was_made = []

    def make() -> Iterable[Message]:
        first, second = messages(1, 2)
        yield first
        sent_before_the_second_was_made.append(len(late._replies))
        yield second

    FastGrid(late, Ledger()).send_and_receive(make(), timeout=5)
    assert sent_before_the_second_was_made == [1]


def in_groups(*named: tuple[int, str]) -> list[Message]:
    content = RecordDict({"values": ArrayRecord({"x": Array(np.zeros(1, np.float32))})})
    return [Message(content, dst_node_id=n, message_type="query.double", group_id=group) for n, group in named]


def answered(replies: Iterable[Message]) -> list[tuple[int, str]]:
    return sorted((reply.metadata.src_node_id, reply.metadata.group_id) for reply in replies)


def test_messages_sent_ahead_are_answered_in_later_calls() -> None:
    grid = FastGrid(LateGrid(polls=0), Ledger())
    grid.await_group("1")
    assert answered(grid.send_and_receive(in_groups((1, "1"), (2, "1"), (1, "2"), (2, "2")))) == [(1, "1"), (2, "1")]
    assert grid.send_and_receive([]) == []  # a call for something else between two rounds
    grid.await_group("2")
    assert answered(grid.send_and_receive(in_groups((1, "3"), (2, "3")))) == [(1, "2"), (2, "2")]
    grid.await_group("3")
    assert answered(grid.send_and_receive([])) == [(1, "3"), (2, "3")]


def test_a_node_without_a_queue_has_one_message_at_a_time() -> None:
    """Node 1 has a queue and node 2 has none; what they hold before any reply, and when the first are in."""
    late = LateGrid(polls=1)
    grid = FastGrid(late, Ledger())
    grid.queues.add(1)
    held_before_a_reply = []

    def make() -> Iterable[Message]:
        yield from in_groups((1, "1"), (2, "1"), (1, "2"), (2, "2"))
        held_before_a_reply.extend(sorted(reply.metadata.src_node_id for reply in late._replies.values()))

    grid.await_group("1")
    grid.send_and_receive(make())
    assert held_before_a_reply == [1, 1, 2]
    assert answered(late._replies.values()) == [(1, "2"), (2, "2")]


def test_a_node_that_is_given_up_gets_its_next_message() -> None:
    late = LateGrid(polls=0, silent=[2])
    grid = FastGrid(late, Ledger())
    grid.await_group("1")
    assert answered(grid.send_and_receive(in_groups((1, "1"), (2, "1"), (2, "2")), timeout=0.05)) == [(1, "1")]
    late._silent.clear()
    grid.await_group("2")
    assert answered(grid.send_and_receive([], timeout=5)) == [(2, "2")]


def test_enough_replies_end_the_wait_and_the_others_come_later() -> None:
    """Node 2 is silent at first; two of three close the first call, its late reply and a new one the second."""
    late = LateGrid(polls=0, silent=[2])
    grid = FastGrid(late, Ledger())
    grid.await_any(2, None)
    assert answered(grid.send_and_receive(in_groups((1, "1"), (2, "1"), (3, "1")))) == [(1, "1"), (3, "1")]
    late._silent.clear()
    grid.await_any(3, None)
    assert answered(grid.send_and_receive(in_groups((1, "2")))) == [(1, "2"), (2, "1")]


def test_a_deadline_wants_one_reply_at_least() -> None:
    late = LateGrid(polls=5, silent=[2])
    grid = FastGrid(late, Ledger())
    grid.await_any(2, 0.001)
    assert answered(grid.send_and_receive(in_groups((1, "1"), (2, "1")))) == [(1, "1")]
    assert late.polls == 6


def test_errors_do_not_close_a_round_but_come_with_it() -> None:
    late = LateGrid(polls=0)
    grid = FastGrid(late, Ledger())
    grid.await_any(1, None)
    broken = Message(RecordDict(), dst_node_id=2, message_type="query.double", group_id="1")
    replies = grid.send_and_receive([broken, *in_groups((1, "1"))])
    assert {(reply.metadata.src_node_id, reply.has_error()) for reply in replies} == {(2, True), (1, False)}


class LossyGrid(LateGrid):
    """Answers the first so many polls for each message with Flower's word that the message is lost."""

    def __init__(self, losses: int) -> None:
        super().__init__(polls=0)
        self._losses = losses

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        found = list(super().pull_messages(message_ids))
        if self._losses and found:
            self._losses -= 1
            error = Error(code=max(LOST), reason="gone")
            for reply in found:
                lost = Message(error, reply_to=reply)
                lost.metadata.__dict__["_reply_to_message_id"] = reply.metadata.reply_to_message_id
                yield lost
        else:
            yield from found


def test_a_lost_message_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower_dgan.runtime.grid._PAUSE", 0.01)
    grid = FastGrid(LossyGrid(losses=2), Ledger())
    assert answered(grid.send_and_receive(in_groups((1, "1")))) == [(1, "1")]
    assert grid.repeats == {1: 2}
    assert grid.ledger.counts[1, TO_NODE, "values", "x"].messages == 3
    assert grid.ledger.counts[1, FROM_NODE, "answer", "y"].messages == 1


def test_silence_is_answered_with_another_message_and_one_reply_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower_dgan.runtime.grid._FIRST_PATIENCE", 0.02)
    late = LateGrid(polls=6)
    grid = FastGrid(late, Ledger())
    assert answered(grid.send_and_receive(in_groups((1, "1")))) == [(1, "1")]
    assert grid.repeats[1] >= 1
    assert grid.ledger.counts[1, FROM_NODE, "answer", "y"].messages == 1


def test_silence_is_answered_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 0.02, 0.04, 0.08, 0.16 and 0.32 s; a wait for another kind of message says nothing about this one."""
    monkeypatch.setattr("flower_dgan.runtime.grid._FIRST_PATIENCE", 0.02)
    grid = FastGrid(LateGrid(polls=0, silent=[2]), Ledger())
    grid._longest_waits["train"] = 1000.0
    grid.send_and_receive(in_groups((2, "1")), timeout=0.5)
    assert 1 <= grid.repeats[2] <= 4


class HalfReplyGrid(LateGrid):
    """Waits, as Flower does, for the rest of the first reply, which never comes."""

    def __init__(self) -> None:
        super().__init__(polls=0)
        self.end = threading.Event()

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.polls += 1
        if self.polls == 1:
            self._replies.clear()
            self.end.wait(20)
            return []
        return super().pull_messages([i for i in message_ids if i in self._replies])


def test_half_a_reply_does_not_hold_the_server_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower_dgan.runtime.grid._SLOW_PULL", 0.01)
    monkeypatch.setattr("flower_dgan.runtime.grid._FIRST_PATIENCE", 0.02)
    half = HalfReplyGrid()
    grid = FastGrid(half, Ledger())
    assert answered(grid.send_and_receive(in_groups((1, "1")))) == [(1, "1")]
    assert not half.end.is_set()
    assert grid.repeats == {1: 1}
    half.end.set()


def test_ledger_counts_every_key_in_both_directions() -> None:
    ledger = Ledger()
    grid = FastGrid(LateGrid(polls=0), ledger)
    for _ in range(2):
        grid.send_and_receive(messages(1), timeout=5)
    rows = {(node, way, record, key): count for node, way, record, key, count in ledger.rows()}
    # three float32 values and numpy's header of 128 bytes, twice
    assert rows[1, TO_NODE, "values", "x"].bytes == rows[1, FROM_NODE, "answer", "y"].bytes == 2 * (3 * 4 + 128)
    assert rows[1, FROM_NODE, "answer", "y"].messages == 2
    assert (rows[1, FROM_NODE, "answer", "y"].dtype, rows[1, FROM_NODE, "answer", "y"].shape) == ("float32", "3")
    assert rows[1, TO_NODE, "extra", "n"].bytes == 2
    assert ledger.bytes(1, TO_NODE) == 2 * (3 * 4 + 128) + 2
    assert ledger.bytes(2, TO_NODE) == 0


def test_a_saved_ledger_goes_on_under_new_node_ids() -> None:
    before, after = Ledger(), Ledger()
    FastGrid(LateGrid(polls=0), before).send_and_receive(messages(1, 2), timeout=5)
    FastGrid(LateGrid(polls=0), after).send_and_receive(messages(3), timeout=5)
    after.restore(json.loads(json.dumps(before.saved({1: "north", 2: "south"}))), {"north": 3})
    assert after.counts[3, TO_NODE, "values", "x"].messages == 2
    assert after.bytes(3, FROM_NODE) == 2 * before.bytes(1, FROM_NODE)
    assert after.bytes(2, FROM_NODE) == 0


def test_ledger_counts_errors() -> None:
    ledger = Ledger()
    (message,) = messages(1)
    InProcessGrid(app, {})
    ledger.add(1, FROM_NODE, Message(Error(code=1000, reason="refused"), reply_to=message))
    assert [(row[2], row[4].bytes) for row in ledger.rows()] == [("error", 7)]


@pytest.fixture(autouse=True)
def identity() -> None:
    """Let messages be made outside a run."""
    InProcessGrid(app, {})
