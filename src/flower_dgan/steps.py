"""The steps of a stage of minutes, told to whoever shows how far it is, so that no training has to know of that."""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Lock

_LISTENER: ContextVar[Callable[[], object] | None] = ContextVar("steps", default=None)


def step_done() -> None:
    """Tell that a step was done, if anyone listens."""
    if (listener := _LISTENER.get()) is not None:
        listener()


@contextmanager
def steps_told_to(listener: Callable[[], object]) -> Iterator[None]:
    """Call a function at each step that is done in the body, in this thread."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def steps_until(over: Event, one_at_a_time: Lock) -> Iterator[None]:
    """Tell the steps of the body to whoever listened before, one thread at a time, and end it once it is ``over``.

    Raises
    ------
    CancelledError
        At the first step after ``over`` was set.
    """
    before = _LISTENER.get()

    def listener() -> None:
        if over.is_set():
            raise CancelledError
        if before is not None:
            with one_at_a_time:
                before()

    with steps_told_to(listener):
        yield
