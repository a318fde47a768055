"""Whether a node is simulated: whoever started the run then owns both ends, its data and its log among them.

That is told by the process that the node runs in, and by its own node configuration: nothing that a server sends can
change it.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

NodeConfig = Mapping[str, bool | int | float | str]
"""What the owner of a node set in ``--node-config``, or Flower's simulation."""

_IN_PROCESS: ContextVar[bool] = ContextVar("in_process", default=False)


@contextmanager
def simulating() -> Iterator[None]:
    """Let nodes that are called inside be simulated ones."""
    token = _IN_PROCESS.set(True)
    try:
        yield
    finally:
        _IN_PROCESS.reset(token)


def in_ray() -> bool:
    """Return whether this process is a worker of Flower's simulation, which runs in Ray."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def in_simulation(node_config: NodeConfig) -> bool:
    """Return whether a node is simulated: it has no data of its own, and its process belongs to a simulation."""
    return "data-path" not in node_config and (_IN_PROCESS.get() or in_ray())
