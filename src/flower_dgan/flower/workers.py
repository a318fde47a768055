"""The children of an executor: forks of it that do tasks, and stay for the next task of their run.

A child that stays has in memory what it would otherwise read for each message: discriminator, optimizer, pairs, and the
context of a device. That is a convenience and nothing else: what a message changed is on disk before its answer leaves,
so a child that is gone costs the time of a fork. So whatever is in doubt ends it, be it an exception, a signal, an
exit, or a task that says that it should not stay; the next task of its run gets a fresh one.
"""

import logging
import time
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

from flower_dgan.flower.child import Child
from flower_dgan.memory import memory_is_short

logger = logging.getLogger("flwr")

IDLE_SECONDS = 600.0
"""After so long without a task a child ends."""

_MOMENT_SECONDS = 1.0
"""How long after its answer a child may take to say that it is done."""

_LONGEST_WAIT = 0.25


class Workers:
    """Does tasks in forks of this process, which must have one thread.

    Parameters
    ----------
    do : callable
        Does a task, in a child; returns whether the child may do another one of the run.
    most : int
        So many children stay, at most, each for one run: the one that was idle longest ends for a new one. It is 1
        while the machine's memory is short. With 0 none stays, and each task has a child of its own.
    lost : callable
        Is told, in this process, of a task that nobody does: its child is gone, or there was no memory for one.
    idle_seconds : float
        After so long without a task a child ends.
    """

    def __init__(
        self,
        do: Callable[[Any], bool],
        most: int,
        lost: Callable[[Any], object],
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._do = do
        self._most = most
        self._lost = lost
        self._idle_seconds = idle_seconds
        self._children: list[Child] = []

    @property
    def busy(self) -> bool:
        """Whether any child does a task, as far as is known."""
        return any(child.busy for child in self._children)

    def give(self, task: object, run: int | None) -> None:
        """Let a child do a task: that of its run, or a new one.

        A run's child that is still at another task is not waited for: the task gets a child of its own, which shares
        nothing with it but the node's directory and the lock of that.

        Parameters
        ----------
        task : object
            What ``do`` is called with; is pickled.
        run : int or None
            The run that the task is of; None for one whose child is not to stay.
        """
        self.look()
        child = self._child_of(run)
        if child is not None and child.busy:
            child.pipe.poll(_MOMENT_SECONDS)  # its answer is there, and that it is done may be on the way
            self.look()
            child = self._child_of(run)
        if child is None:
            self._fork(task, run if run is not None and self._make_room() else None)
        elif child.busy:
            self._fork(task, None)
        elif not child.give(task):
            self._replace(child)

    def look(self) -> None:
        """Note which children are done, and end those that do not stay, that are idle for too long, or gone."""
        for child in list(self._children):
            if not child.listen():
                self._replace(child)
        idle = self._idle()
        for child in idle:
            if time.monotonic() - child.used > self._idle_seconds:
                self._end(child)
        if len(idle) > 1 and memory_is_short():
            for child in self._idle()[:-1]:
                self._end(child)

    def wait(self, seconds: float) -> None:
        """Wait for so long, or while children are busy a quarter of a second at most, or until one of them is done."""
        if self.busy:
            connection.wait([child.pipe for child in self._children if child.busy], _LONGEST_WAIT)
        else:
            time.sleep(seconds)

    def close(self) -> None:
        """End all children, at whatever they are."""
        for child in list(self._children):
            self._end(child)

    def _child_of(self, run: int | None) -> Child | None:
        return next((child for child in self._children if child.run is not None and child.run == run), None)

    def _idle(self) -> list[Child]:
        """Return the children that have nothing to do, the one that was used last at the end."""
        return sorted((child for child in self._children if not child.busy), key=lambda child: child.used)

    def _make_room(self) -> bool:
        """End idle children until one more may stay; return False where the busy ones are too many."""
        most = min(self._most, 1) if memory_is_short() else self._most
        while (staying := sum(child.run is not None for child in self._children)) and staying >= most:
            if not (idle := self._idle()):
                return False
            self._end(idle[0])
        return most > 0

    def _fork(self, task: object, run: int | None) -> None:
        """Let a new child do a task; idle ones end where there is no memory for it, and else the task is lost."""
        try:
            child = self._new(run)
        except OSError as error:
            logger.warning("A message has no process (%s): the server is told so, and may ask again.", error)
            self._lost(task)
            return
        self._children.append(child)
        child.give(task)
        child.taken = True  # one that does not even live to take its first task is not replaced for ever

    def _new(self, run: int | None) -> Child:
        try:
            return Child.fork(self._do, run, self._children)
        except OSError:
            if not (idle := self._idle()):
                raise
            for each in idle:
                self._end(each)
        return Child.fork(self._do, run, self._children)

    def _replace(self, child: Child) -> None:
        """End a child; where it was killed before it took what it was given, another one does that."""
        self._end(child)
        if child.task is None:
            return
        if child.taken:
            self._lost(child.task)
        else:
            self._fork(child.task, child.run)

    def _end(self, child: Child) -> None:
        self._children.remove(child)
        child.end()
