"""Asks the process that paints: one mask at a time, each within its time."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flower_dgan.errors import DganError

SECONDS = 30.0
"""How long a paint may take."""
TO_START = 120.0
"""How much longer the first may take, for which the process is started."""
WAITING = 3
"""How many may wait for the one that is painted; further ones are refused."""
A_MINUTE = 60
"""How many are painted within any minute; further ones are refused."""


class BusyError(DganError):
    """More masks wait than may."""


class PaintError(DganError):
    """The mask could not be painted; says why."""


class Painting:
    """One process that paints, started at the first mask and anew after one that took too long.

    Parameters
    ----------
    seconds, to_start : float
        How long an answer may take, and how much longer the first.
    command : sequence of str
        What starts the process.
    clock : callable
        Seconds from any beginning.
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        to_start: float = TO_START,
        command: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._to_start = to_start
        # -P, as the directory that it is started in may be another's run, and `-m` would import modules from there
        self._command = command or (sys.executable, "-P", "-m", "flower_dgan.watch.painter")
        self._process: subprocess.Popen[str] | None = None
        self._clock = clock
        self._lately: deque[float] = deque(maxlen=A_MINUTE)
        self._turn = threading.Lock()
        self._places = threading.Semaphore(1 + WAITING)

    def ask(self, **what: Any) -> dict[str, Any]:
        """Let the process answer.

        Raises
        ------
        BusyError
            If four are being painted or wait already, or 60 were within a minute.
        PaintError
            If it took too long, ended, or says that something was wrong.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("Several masks wait to be painted already: try again in a moment.")
        try:
            with self._turn:
                if "paint" in what:
                    self._count()
                found = self._answer(json.dumps(what))
        finally:
            self._places.release()
        if "error" in found:
            raise PaintError(str(found["error"]))
        return found

    def _count(self) -> None:
        now = self._clock()
        if len(self._lately) == A_MINUTE and now - self._lately[0] < 60:
            raise BusyError(f"{A_MINUTE} masks were painted within a minute: wait for the next.")
        self._lately.append(now)

    def _answer(self, line: str) -> dict[str, Any]:
        patience = self._seconds
        if self._process is None or self._process.poll() is not None:
            patience += self._to_start
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        answers: queue.Queue[str] = queue.Queue()
        process = self._process
        reader = threading.Thread(target=_exchange, args=(process, line, answers), daemon=True)
        reader.start()
        try:
            answer = answers.get(timeout=patience)
        except queue.Empty:
            self.close()
            raise PaintError(f"The mask was not painted within {patience:.0f} seconds and was given up.") from None
        if not answer:
            self.close()
            raise PaintError("The process that paints ended; it is started anew at the next mask.")
        found = json.loads(answer)
        return found if isinstance(found, dict) else {"error": "no answer"}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            with suppress(OSError), process:  # its pipes are closed, and it is waited for
                pass


def _exchange(process: "subprocess.Popen[str]", line: str, answers: "queue.Queue[str]") -> None:
    try:
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answers.put(process.stdout.readline())
    except (OSError, ValueError):  # it was ended meanwhile
        answers.put("")
