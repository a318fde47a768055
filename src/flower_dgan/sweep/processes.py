"""Jobs side by side in forked processes, each with all that this one has imported."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

from flower_dgan.errors import DganError, one_line

_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    seconds : float
        Wall-clock time of its process.
    value : object
        What it returned; None if it failed.
    error : str or None
        Why it failed, in one line; None if it did not.
    """

    seconds: float
    value: object = None
    error: str | None = None


@dataclass(frozen=True)
class _Running:
    process: BaseProcess
    start: float


class Processes:
    """At most so many jobs at once, one process each.

    A process that is killed fails its own job only, and none outlives this one. The caller computes nothing with torch,
    so that it has no threads that the children would lack.

    Parameters
    ----------
    workers : int
        How many, at least 1.

    Attributes
    ----------
    workers : int
        As given.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._running: dict[Connection, tuple[int, _Running]] = {}

    @property
    def full(self) -> bool:
        """Whether no further job can start now."""
        return len(self._running) >= self.workers

    def seconds(self) -> list[float]:
        """Return for how long each of the running jobs has run."""
        now = time.monotonic()
        return [now - running.start for _, running in self._running.values()]

    def start(self, number: int, work: Callable[[], object], log: Path) -> None:
        """Start a job.

        Parameters
        ----------
        number : int
            What :meth:`ended` calls it.
        work : callable
            Its value, which must be picklable, is the job's.
        log : Path
            File that is added what the job prints.
        """
        ours, theirs = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_work, args=(work, log, theirs))
        process.start()
        theirs.close()  # the job's own is the only one left: its end is the end of the job
        self._running[ours] = (number, _Running(process, time.monotonic()))

    def ended(self, timeout: float) -> list[tuple[int, Outcome]]:
        """Wait until a job ends, or ``timeout`` seconds; return the number and outcome of those that have ended."""
        found = []
        for ready in wait(list(self._running), timeout):
            assert isinstance(ready, Connection)
            number, running = self._running.pop(ready)
            try:
                value, error = ready.recv()
                running.process.join()
            except EOFError:
                running.process.join()
                value, error = None, f"its process was ended from outside (exit code {running.process.exitcode})"
            ready.close()
            found.append((number, Outcome(time.monotonic() - running.start, value, error)))
        return found

    def stop(self) -> None:
        """Kill what still runs."""
        for _, running in self._running.values():
            running.process.kill()
            running.process.join()
        self._running.clear()

    def __len__(self) -> int:
        return len(self._running)


def _work(work: Callable[[], object], log: Path, answer: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    Thread(target=_end_with_parent, daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        answer.send((work(), None))
    except Exception as error:
        if isinstance(error, DganError):
            sys.stderr.write(f"Error: {one_line(error)}\n")
        else:
            traceback.print_exception(error)
        answer.send((None, one_line(error)))
    sys.stdout.flush()
    sys.stderr.flush()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
