"""How often a grid is asked for the reply to a message."""

import threading
from collections.abc import Iterable

import pytest
from flwr.app import Message

from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.flower.pull import Pull


class EmptyGrid(InProcessGrid):
    """Has no reply."""

    def __init__(self) -> None:
        pass

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return []


@pytest.mark.parametrize(("out", "shortest", "longest"), [(1, 0.01, 0.25), (40, 0.2, 0.25), (300, 1.5, 1.5)])
def test_all_pulls_together_ask_two_hundred_times_a_second(
    out: int, shortest: float, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    waited = threading.Event()

    def pause(unwanted: threading.Event, seconds: float) -> None:
        pauses.append(seconds)
        unwanted.set()
        waited.set()

    with monkeypatch.context() as patch:
        patch.setattr("flower_dgan.flower.pull._pause", pause)
        Pull(EmptyGrid(), "message", lambda: out, lambda *_: None)
        assert waited.wait(20)
    (seconds,) = pauses
    assert shortest <= seconds <= longest
    assert out / seconds <= 200 + 1e-6
