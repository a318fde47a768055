"""Work on several clients at the same time, in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Threads that work on so many values at a time; where it is one, the caller's own.

    Parameters
    ----------
    count : int
        Values that are worked on at the same time.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        # Each thread asks first how many threads its operations may use: one whose first operation is a convolution
        # would take all cores for that, and round otherwise.
        self._pool = ThreadPoolExecutor(count, initializer=torch.get_num_threads) if count > 1 else None

    def for_each(self, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
        """Apply a function as :func:`map` does, to as many values at a time as there are workers.

        No more values are begun than so many beyond the one whose result was asked for.
        """
        return map(function, values) if self._pool is None else _ahead(self._pool, self.count, function, values)


def _ahead(pool: ThreadPoolExecutor, most: int, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
    waiting: deque[Future[R]] = deque()
    for value in values:
        waiting.append(pool.submit(function, value))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
