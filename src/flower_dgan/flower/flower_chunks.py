"""Into what Flower cuts arrays on their way: beside ``flower_internals`` as that takes seconds to import.

``FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE``: arrays travel in chunks of 5 MiB, two at a time for each node. A request that is
not answered within 30 s is made again, with all its bytes: where two nodes share 0.1 MB/s, none ever is. The variable
of this name in the environment is read before any module of ours, and is respected.
"""

import os

from flwr.app.message import array

_CHUNK_SIZE, _CHUNK_BYTES = "FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE", 256 * 1024


def cut_arrays_small() -> None:
    """Let the arrays that this process sends travel in chunks that a slow link carries within Flower's 30 s.

    Where the installed Flower has no such chunks, or the user chose their size, nothing changes.
    """
    if hasattr(array, _CHUNK_SIZE) and _CHUNK_SIZE not in os.environ:
        setattr(array, _CHUNK_SIZE, _CHUNK_BYTES)
