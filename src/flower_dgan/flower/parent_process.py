"""A process that ends with the one that started it."""

import os
import signal
import time


def end_with(parent: int) -> None:
    """End this process when the one that started it is gone, even if that was killed; to be run in a thread.

    Parameters
    ----------
    parent : int
        Id of the process that started this one.
    """
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
