"""The steps of a stage of minutes, told to whoever shows how far it is, so that no training has to know of that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
