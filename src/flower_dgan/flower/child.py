"""A fork of an executor that does tasks, one after the other, until it is in doubt about anything."""

import logging
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, NoReturn, Self

from flower_dgan.flower.parent_process import end_with

logger = logging.getLogger("flwr")

_STOP_SECONDS = 2.0
_TAKEN, _STAYS, _LEAVES = "taken", "stays", "leaves"


@dataclass
class Child:
    """A fork, as its parent knows it.

    Attributes
    ----------
    pid : int
        Its process id.
    pipe : Connection
        Brings tasks; what comes back is that one was taken, then whether the child stays.
    run : int or None
        The run whose tasks it does, None where it does one task only.
    used : float
        When it was last given a task or done with one, by the monotonic clock.
    task : object or None
        What it was given and has not said that it is done with.
    taken : bool
        Whether it has begun with that.
    """

    pid: int
    pipe: Connection
    run: int | None
    used: float
    task: object | None = None
    taken: bool = False

    @property
    def busy(self) -> bool:
        """Whether it has a task."""
        return self.task is not None

    @classmethod
    def fork(cls, do: Callable[[Any], bool], run: int | None, others: Iterable["Child"]) -> Self:
        """Fork this process, which must have one thread.

        Parameters
        ----------
        do : callable
            Does a task; returns whether the child may do another one.
        run : int or None
            The run whose tasks it does, None where it does one task only.
        others : iterable of Child
            The children that are there.

        Raises
        ------
        OSError
            If the system has no memory for it.
        """
        ours, theirs = Pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                for other in others:  # else they would not notice that the parent is gone
                    other.pipe.close()
                _work(parent, theirs, do, stays=run is not None)
            finally:  # whatever happens in a child, it never returns to where its parent was
                os._exit(1)
        theirs.close()
        return cls(pid, ours, run, used=time.monotonic())

    def give(self, task: object) -> bool:
        """Give it a task; return False if it is gone."""
        self.task, self.used, self.taken = task, time.monotonic(), False
        try:
            self.pipe.send(task)
        except OSError:
            return False
        return True

    def listen(self) -> bool:
        """Note what it said; return False if it leaves or is gone."""
        try:
            while self.pipe.poll():
                said = self.pipe.recv()
                self.taken = True
                if said != _TAKEN:
                    self.task, self.used = None, time.monotonic()
                if said == _LEAVES:
                    return False
        except (EOFError, OSError):
            return False
        return True

    def end(self) -> None:
        """End it and wait until it is gone: its memory is free then, and no zombie left."""
        self.pipe.close()
        os.kill(self.pid, signal.SIGTERM)  # not reaped yet, so its id is still its own
        deadline = time.monotonic() + _STOP_SECONDS
        while (found := os.waitpid(self.pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                found = os.waitpid(self.pid, 0)
                break
            time.sleep(0.005)
        code = os.waitstatus_to_exitcode(found[1])
        if self.busy and code < 0:
            logger.warning("A ClientApp was ended by signal %d. The next message gets another.", -code)


def _work(parent: int, pipe: Connection, do: Callable[[Any], bool], *, stays: bool) -> NoReturn:
    """Do tasks in a child until one says that it should not stay, or the parent wants no more."""
    code = 1
    try:
        # At once: Flower takes a task for lost whose process is silent, and waits for ever for one that failed.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # so ends Flower a task whose run was stopped
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        Thread(target=end_with, args=(parent,), daemon=True).start()
        for task in _tasks(pipe):
            again = do(task) and stays
            pipe.send(_STAYS if again else _LEAVES)
            if not again:
                break
        code = 0
    except (KeyboardInterrupt, SystemExit, BrokenPipeError):  # the run or the node was stopped
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _tasks(pipe: Connection) -> Iterator[Any]:
    while True:
        try:
            task = pipe.recv()
        except EOFError:  # the parent wants no more, or is gone
            return
        pipe.send(_TAKEN)
        yield task
