"""The sessions that a process has in memory, from one message to the next where it lives on.

A process that is started for one message opens its session anew; one that stays at a node has it in memory, and a
worker of a simulation, which serves many nodes, has those of its training.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flower_dgan.node.node import node_key
from flower_dgan.node.node_session import NodeSession
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.wire.protocol import Training

MOST_BYTES, MOST_SESSIONS = 512 * 2**20, 64
"""Of discriminators with Adam's moments, and of sessions, that one process has in memory.

The bytes are about what a worker of Flower's simulation takes before it has any, and those of 16 PatchGANs. With small
discriminators the number comes first: each session has four files open, of the 1024 that a process may have. A session
that is beyond is opened anew for its next message, as in a process of its own; that costs time and nothing else.
"""

_OPEN: OrderedDict[Path, "NodeSession"] = OrderedDict()
_GUARD = threading.Lock()


@contextmanager
def open_session(training: Training, node_config: NodeConfig) -> Iterator[NodeSession]:
    """Open the session of a node in a training; no other process, and no other thread, answers for the node inside.

    One that is in memory and up to date is opened without opening or reading any file.

    Parameters
    ----------
    training : Training
        Which training a message belongs to.
    node_config : mapping
        The owner's.

    Raises
    ------
    ForgottenError
        If the node has not joined the training, or its directory is gone.
    PolicyError, ConfigError
        If the owner's policy is against the settings; if the policy or the secret cannot be read.
    """
    state = ClientState(training.identity, node_key(node_config))
    if (known := _recall(state.path)) is not None:
        with known.lock.held():
            if known.is_up_to_date(node_config):
                known.follow_policy()
                known.compile()
                yield known
                return
        forget_session(state)
    with state.locked() as lock:
        opened = NodeSession(state, lock, node_config)
        _remember(state.path, opened)
        yield opened


def forget_session(state: ClientState) -> None:
    """Drop from memory what it has of a node's training; its directory stays as it is."""
    with _GUARD:
        _OPEN.pop(state.path, None)


def _recall(path: Path) -> NodeSession | None:
    with _GUARD:
        if path in _OPEN:
            _OPEN.move_to_end(path)
        return _OPEN.get(path)


def _remember(path: Path, session: NodeSession) -> None:
    """Keep a session in memory, without those of other trainings, and without the oldest where they are too many."""
    with _GUARD:
        for other in [each for each in _OPEN if each.parent != path.parent]:
            del _OPEN[other]
        _OPEN[path] = session
        while len(_OPEN) > MOST_SESSIONS or (len(_OPEN) > 1 and _bytes_in_memory() > MOST_BYTES):
            _OPEN.popitem(last=False)


def _bytes_in_memory() -> int:
    return sum(each.bytes for each in _OPEN.values())


def _start_afresh() -> None:
    """Let a process that was forked open sessions of its own: it shares its parent's locks, which would not hold it."""
    global _GUARD  # another thread of the parent may have had it
    _GUARD = threading.Lock()
    _OPEN.clear()


os.register_at_fork(after_in_child=_start_afresh)
