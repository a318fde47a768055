"""The children of an executor: forks of it that do tasks, and stay for the next task of their run.

A child that stays has in memory what it would otherwise read for each message: discriminator, optimizer, pairs, and the
context of a device. That is a convenience and nothing else: what a message changed is on disk before its answer leaves,
so a child that is gone costs the time of a fork. So whatever is in doubt ends it, be it an exception, a signal, an
exit, or a task that says that it should not stay; the next task of its run gets a fresh one.
"""

import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe, connection
from threading import Thread
from typing import Any, NoReturn

from flower_dgan.flower.parent_process import end_with
from flower_dgan.memory import memory_is_short

logger = logging.getLogger("flwr")

IDLE_SECONDS = 600.0
"""After so long without a task a child ends."""

_STOP_SECONDS = 2.0
_MOMENT_SECONDS = 1.0
"""How long after its answer a child may take to say that it is done."""
_LONGEST_WAIT = 0.25
_TAKEN, _STAYS, _LEAVES = "taken", "stays", "leaves"


@dataclass
class _Child:
    """A fork, and what it is there for.

    Attributes
    ----------
    pid : int
        Its process id.
    pipe : connection.Connection
        Brings tasks; what comes back is that one was taken, then whether the child stays.
    run : int or None
        The run whose tasks it does, None where it does one task only.
    busy : bool
        Whether it was given a task and has not said that it is done.
    used : float
        When it was last given a task or done with one, by the monotonic clock.
    untaken : object or None
        The task that it was given while it was idle, until it has taken it.
    """

    pid: int
    pipe: connection.Connection
    run: int | None
    busy: bool
    used: float
    untaken: object | None = None


class Workers:
    """Does tasks in forks of this process, which must have one thread.

    Parameters
    ----------
    do : callable
        Does a task, in a child; returns whether the child may do another one of the run.
    most : int
        So many children stay, at most, each for one run: the one that was idle longest ends for a new one. It is 1
        while the machine's memory is short. With 0 none stays, and each task has a child of its own.
    idle_seconds : float
        After so long without a task a child ends.
    """

    def __init__(self, do: Callable[[Any], bool], most: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._do = do
        self._most = most
        self._idle_seconds = idle_seconds
        self._children: list[_Child] = []

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
        else:
            self._hand_over(task, child)

    def _hand_over(self, task: object, child: _Child) -> None:
        child.busy, child.used, child.untaken = True, time.monotonic(), task
        try:
            child.pipe.send(task)
        except OSError:
            self._replace(child)

    def _replace(self, child: _Child) -> None:
        """End a child; where it was killed before it took what it was given, another one does that."""
        self._end(child)
        if child.untaken is not None:
            self._fork(child.untaken, child.run)

    def look(self) -> None:
        """Note which children are done, and end those that do not stay, that are idle for too long, or gone."""
        for child in list(self._children):
            try:
                while child.pipe.poll():
                    said = child.pipe.recv()
                    child.untaken = None
                    if said != _TAKEN:
                        child.busy, child.used = False, time.monotonic()
                    if said == _LEAVES:
                        raise EOFError
            except (EOFError, OSError):
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

    def _child_of(self, run: int | None) -> _Child | None:
        return next((child for child in self._children if child.run is not None and child.run == run), None)

    def _idle(self) -> list[_Child]:
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
        ours, theirs = Pipe()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # no memory for one more process
            if not (idle := self._idle()):
                raise
            for child in idle:
                self._end(child)
            pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                self._be_child(parent, theirs, stays=run is not None)
            finally:  # whatever happens in a child, it never returns to where its parent was
                os._exit(1)
        theirs.close()
        child = _Child(pid, ours, run, busy=True, used=time.monotonic())
        self._children.append(child)
        try:
            ours.send(task)
        except OSError:
            self._end(child)

    def _be_child(self, parent: int, pipe: connection.Connection, *, stays: bool) -> NoReturn:
        code = 1
        try:
            # At once: Flower takes a task for lost whose process is silent, and waits for ever for one that failed.
            signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
            signal.signal(signal.SIGINT, signal.default_int_handler)  # so ends Flower a task whose run was stopped
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in self._children:  # else they would not notice that the parent is gone
                other.pipe.close()
            Thread(target=end_with, args=(parent,), daemon=True).start()
            again = True
            while again:
                task = pipe.recv()
                pipe.send(_TAKEN)
                again = self._do(task) and stays
                pipe.send(_STAYS if again else _LEAVES)
            code = 0
        except EOFError:  # the parent wants it to end
            code = 0
        except (KeyboardInterrupt, SystemExit, BrokenPipeError):  # the run or the node was stopped
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _end(self, child: _Child) -> None:
        """End a child and wait until it is gone: its memory is free then, and no zombie left."""
        self._children.remove(child)
        child.pipe.close()
        os.kill(child.pid, signal.SIGTERM)  # not reaped yet, so its id is still its own
        deadline = time.monotonic() + _STOP_SECONDS
        while (found := os.waitpid(child.pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child.pid, signal.SIGKILL)
                found = os.waitpid(child.pid, 0)
                break
            time.sleep(0.005)
        code = os.waitstatus_to_exitcode(found[1])
        if child.busy and code < 0:
            logger.warning("A ClientApp was ended by signal %d. The next message gets another.", -code)
