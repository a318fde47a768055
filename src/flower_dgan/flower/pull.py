"""Waiting for the reply to one message, in a thread of its own.

Flower's SuperLink gives a reply away at the first question: it forgets message and reply, and the call returns when all
parts of the reply have arrived from the node, which takes as long as its link needs. Who asks once more meanwhile is
told that there is no such message. So each message has one thread that asks, and asks no more once there was an answer.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import thread as executors

from flwr.app import Message
from flwr.serverapp import Grid

_SHORTEST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25
_PAUSE_OF_EACH = 0.005


class Pull:
    """Asks a grid for the reply to a message until there is one, or nobody wants it any more.

    The pauses are a twentieth of the time since the message was sent, between 10 and 250 ms, and at least 5 ms for each
    message that is out: all pulls together ask 200 times a second at most. The thread does not keep the process from
    ending.

    Parameters
    ----------
    grid : Grid
        Flower's grid.
    message_id : str
        Id under which the SuperLink took the message.
    out : callable
        Returns how many messages are out, this one among them.
    tell : callable
        Called in the thread, once at most, with this pull and the reply or the exception that the grid raised.

    Attributes
    ----------
    message_id : str
        As given.
    asking : bool
        Whether a call is under way, or its answer was told. If that lasts, a reply is on its way.
    seconds : float
        How long the last call took: where a large reply was told, its time on the way.
    """

    def __init__(
        self,
        grid: Grid,
        message_id: str,
        out: Callable[[], int],
        tell: "Callable[[Pull, Message | Exception], None]",
    ) -> None:
        self.message_id = message_id
        self.asking = True
        self.seconds = 0.0
        self._grid = grid
        self._out = out
        self._tell = tell
        self._unwanted = threading.Event()
        threading.Thread(target=self._ask, name=f"pull {message_id[:8]}", daemon=True).start()

    def stop(self) -> None:
        """Ask no more; a call that is under way ends in its own time, and nobody waits for it."""
        self._unwanted.set()

    def _ask(self) -> None:
        begin = time.monotonic()
        while not self._unwanted.is_set():
            self.asking, asked = True, time.monotonic()
            try:
                found = next(iter(self._grid.pull_messages([self.message_id])), None)
                self.seconds = time.monotonic() - asked
            except Exception as error:  # it ends the run, which only the thread that waits can
                self._tell(self, error)
                return
            if found is not None:
                self._tell(self, found)
                return
            self.asking = False
            pause = min(max((time.monotonic() - begin) / 20, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            _pause(self._unwanted, max(pause, _PAUSE_OF_EACH * self._out()))


def _pause(unwanted: threading.Event, seconds: float) -> None:
    unwanted.wait(seconds)


def _leave_stuck_calls() -> None:
    """Let the process end while Flower still waits for parts of a reply, in threads that Python would wait for."""
    for worker in [each for each in executors._threads_queues if each.daemon]:
        del executors._threads_queues[worker]  # type: ignore[attr-defined]


threading._register_atexit(_leave_stuck_calls)  # type: ignore[attr-defined]
