"""Everything that this package uses of Flower beyond its public names, and why: in a run, here; at a node, beside it.

``TaskIdentity``: outside a run, ``Message(...)`` wants it to be set; Flower has no public way to make a message then.

``ErrorCode``: what Flower answers with where a message, its reply, its node or its ClientApp is gone.

``pull_objects``: who finds a message before all its parts are there waits 1 s for them, and who looks often finds it
so. The first wait is a default value, and there is no setting for it.

A node uses more, in ``supernode_internals.py`` and ``executor_internals.py``. They stand apart because a node refuses
to start where a newer Flower lacks any of it, and a run does not need it.
"""

from typing import Any

from flwr.common.constant import ErrorCode
from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree, pull_objects
from flwr.supercore.task_identity import TaskIdentity

LOST = frozenset(
    {
        ErrorCode.MESSAGE_UNAVAILABLE,
        ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
        ErrorCode.NODE_UNAVAILABLE,
        ErrorCode.CLIENT_APP_CRASHED,
    }
)
"""Codes of error replies that say that a message was lost, so that it is worth sending again."""

NODE_IS_AWAY = ErrorCode.NODE_UNAVAILABLE
"""Code of an error reply that says that Flower has heard nothing of the node for a minute."""


def code_name(code: int) -> str:
    """Return what Flower calls an error code."""
    return next((name for name, value in vars(ErrorCode).items() if value == code), f"error {code}")


_FIRST_WAIT_SECONDS = 0.02
_PULLS: tuple[Any, ...] = (pull_objects, pull_and_inflate_object_from_tree)


def take_identity() -> None:
    """Let this process make messages outside a run; within one it keeps the identity that it has."""
    if TaskIdentity._task_id is None:
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


def shorten_waits_for_parts() -> None:
    """Let this process wait 20 ms at first, not 1 s, for the parts of a message that is on its way.

    Where the installed Flower has no such wait, nothing changes.
    """
    for function in _PULLS:
        if "initial_backoff" in (function.__kwdefaults__ or {}):
            function.__kwdefaults__["initial_backoff"] = _FIRST_WAIT_SECONDS
