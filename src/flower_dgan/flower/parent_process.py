"""A process that ends with the one that started it."""

import os
import signal
import time

_STOP_SECONDS = 20.0


def end_with(parent: int) -> None:
    """End this process when the one that started it is gone, even if that was killed; to be run in a thread.

    It is told to end, and killed where it has not after 20 s: what is stuck must not stay for ever.

    Parameters
    ----------
    parent : int
        Id of the process that started this one.
    """
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
