"""Trainings side by side, each in a thread, with their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event, Lock
from typing import TypeVar

import torch

from flower_dgan.steps import steps_until

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(function: Callable[[T], R], values: Iterable[T], workers: int) -> Iterator[R]:
    """Apply a function as :func:`map` does, to as many values at a time as there are workers.

    Parameters
    ----------
    function : callable
        A training that tells its steps, see :mod:`flower_dgan.steps`. Its result does not depend on what else is
        trained: random state that is one for all threads is used by one at a time.
    values : iterable
        What it is called with.
    workers : int
        At least 1; with 1 all is done in the caller's thread. No more than these begin before the first result was
        taken, so that no more models than workers are trained or wait.

    Yields
    ------
    object
        The results, in the order of the values. Whoever takes no more of them ends the trainings that go on, each at
        its next step.
    """
    if workers == 1:
        yield from map(function, values)
        return
    over, one_at_a_time = Event(), Lock()

    def work(value: T) -> R:
        with steps_until(over, one_at_a_time):
            return function(value)

    # Each thread asks first how many threads its operations may use, as those of `GeneratorHalf` do.
    with ThreadPoolExecutor(workers, "training", torch.get_num_threads) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for value in values:
                waiting.append(pool.submit(copy_context().run, work, value))
                if len(waiting) == workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            over.set()
