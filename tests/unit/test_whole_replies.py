"""ClientApps that are killed at whatever they do, with Flower's own state, store and loop of a SuperNode."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flwr.app import Message
from flwr.common.constant import ErrorCode, SubStatus
from flwr.supercore.date import now
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supernode import start_client_internal

from flower_dgan.flower.whole_replies import WholeReplies
from tests.unit.test_stopped_runs import NEW, Node, new_message

TAKE, PUSH = start_client_internal._pull_and_store_message, start_client_internal._push_messages


class StandsStillError(BaseException):
    """The SuperNode waits, and nothing more will happen; Flower must not take it for a failure to send."""


class Moments:
    """Stands for the module ``time`` in Flower's loop: at each wait the next thing happens."""

    def __init__(self, *happen: Callable[[], object]) -> None:
        self.happen = list(happen)

    def sleep(self, seconds: float) -> None:
        if not self.happen:
            raise StandsStillError
        self.happen.pop(0)()


class App:
    """What a ClientApp does, as calls of its node's state; each may be the last one."""

    def __init__(self, node: Node, message: Message) -> None:
        self.node, self.message = node, message
        self.state = node.state
        self.task = next(task.task_id for task in self.state.get_tasks() if not task.starting_at)
        self.parts: dict[str, Any] = {}

    def begin(self) -> None:
        assert self.state.claim_task(self.task)
        assert self.state.activate_task(self.task)

    def take(self) -> None:
        self.begin()
        (taken,) = self.state.get_messages_legacy(run_ids=[NEW], is_reply=False, limit=1)
        assert taken.metadata.message_id == self.message.metadata.message_id
        self.node.store.delete(taken.metadata.message_id)  # as Flower does when it is told that they were received

    def announce(self) -> None:
        """Give the reply without its parts."""
        self.take()
        reply = new_message(NEW, f"answer to {self.message.metadata.message_id}")
        reply.metadata.__dict__["_reply_to_message_id"] = self.message.metadata.message_id
        reply.metadata.__dict__["_message_id"] = reply.object_id
        self.parts = get_all_nested_objects(reply)
        session = self.state.start_session(NEW)
        assert self.state.store_message_and_object_tree(reply, get_object_tree(reply), session)[0]

    def give_parts(self) -> None:
        for key, part in self.parts.items():
            self.node.store.put(key, part.deflate())

    def reply(self) -> None:
        self.announce()
        self.give_parts()

    def finish(self) -> None:
        assert self.state.finish_task(self.task, SubStatus.COMPLETED, "")

    def fall_silent(self) -> None:
        """Let a minute pass without a word of it."""
        self.state.task_token_store[self.task].active_until = now() - timedelta(seconds=1)

    def fail(self) -> None:
        assert self.state.finish_task(self.task, SubStatus.FAILED, "")


class Loop:
    """A SuperNode that takes a message and sends a reply, with Flower's functions or ours around them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, ours: bool) -> None:
        replies = WholeReplies()
        self.node = Node(replies.note(TAKE) if ours else TAKE)
        self.push = replies.await_them(PUSH) if ours else PUSH
        self.monkeypatch = monkeypatch
        self.sent: list[tuple[str, int | None]] = []

    def take(self, number: int) -> App:
        message = new_message(NEW, f"question {number}")
        self.node.objects |= {key: each.deflate() for key, each in get_all_nested_objects(message).items()}
        self.node.messages.append(message)
        assert self.node.take() == NEW
        return App(self.node, message)

    def send(self, *happen: Callable[[], object]) -> None:
        """Wait for a reply, while things happen, and send it; its parts must all be there to be sent."""

        def send(message: Message, tree: Any, _: float) -> tuple[set[str], str]:
            error = message.error.code if message.has_error() else None
            self.sent.append((message.metadata.reply_to_message_id, error))
            return {tree.object_id, *(child.object_id for child in tree.children)}, "session"

        self.monkeypatch.setattr(start_client_internal, "time", Moments(*happen))
        self.push(state=self.node.state, object_store=self.node.store, send=send, push_object=lambda *_: None)


def crashed(app: App) -> tuple[str, int]:
    return app.message.metadata.message_id, ErrorCode.CLIENT_APP_CRASHED


def answered(app: App) -> tuple[str, None]:
    return app.message.metadata.message_id, None


@pytest.mark.parametrize("ours", [False, True], ids=["Flower's own", "ours"])
@pytest.mark.parametrize(
    ("last", "end"), [("begin", "fall_silent"), ("announce", "fall_silent"), ("take", "fail"), ("announce", "fail")]
)
def test_a_message_whose_app_was_killed_is_answered(
    monkeypatch: pytest.MonkeyPatch, ours: bool, last: str, end: str
) -> None:
    """Flower's own functions show the defect: where it is mended there, ours can go."""
    loop = Loop(monkeypatch, ours=ours)
    first = loop.take(1)
    happen = [getattr(first, last), getattr(first, end)]
    if not ours:
        with pytest.raises(StandsStillError):
            loop.send(*happen, *[lambda: None] * 100)
        return
    loop.send(*happen, lambda: None)
    second = loop.take(2)
    loop.send(second.reply, second.finish)
    assert loop.sent == [crashed(first), answered(second)]
    assert len(loop.node.store) == 0


def test_flower_says_itself_that_an_app_crashed_that_had_taken_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(monkeypatch, ours=True)
    first = loop.take(1)
    loop.send(first.take, first.fall_silent)
    assert loop.sent == [crashed(first)]


@pytest.mark.parametrize("ours", [False, True], ids=["Flower's own", "ours"])
def test_an_app_that_was_killed_after_its_reply_does_not_end_the_next_one(
    monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    loop = Loop(monkeypatch, ours=ours)
    first = loop.take(1)
    loop.send(first.reply)  # and killed before it said that it is done
    second = loop.take(2)
    loop.send(second.take, first.fall_silent, lambda: None, second_reply(second), second.finish)
    assert loop.sent == [answered(first), answered(second) if ours else crashed(second)]


def second_reply(app: App) -> Callable[[], None]:
    """Return what gives the reply of an app that has taken its message."""

    def reply() -> None:
        app.take = lambda: None  # type: ignore[method-assign]
        app.reply()

    return reply


def test_a_late_reply_is_not_taken_for_that_to_another_message(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(monkeypatch, ours=True)
    first = loop.take(1)
    loop.send(first.take, first.fall_silent)
    second = loop.take(2)
    loop.send(second.take, second_reply(first), lambda: None, second_reply(second))
    assert loop.sent == [crashed(first), answered(second)]


def test_a_reply_whose_parts_come_late_is_sent_when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(monkeypatch, ours=True)
    first = loop.take(1)
    seen: list[int] = []
    loop.send(first.announce, lambda: seen.append(len(loop.sent)), first.give_parts)
    assert seen == [0]
    assert loop.sent == [answered(first)]
