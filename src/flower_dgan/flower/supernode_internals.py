"""What ``flower-dgan supernode`` uses of Flower's SuperNode beyond its public names, and why.

``flower_supernode``: it sleeps 3 s when there is no message and half a second while there is no reply, and has no
setting for either.

``_pull_and_store_message``: where a run is stopped while a SuperNode takes a message of it, the message and its task
stay. The reply is then taken for the one to the next message, whose own reply waits for the message after that: a run
that sends one message at a time stands still.

``resolve_bind_address``: a SuperNode that listens at all addresses has its executor look for it at 127.0.0.1, and so
must an executor of our own.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any
from unittest.mock import patch

from flwr.app import Message
from flwr.common.constant import Status, SubStatus
from flwr.supercore.address import resolve_bind_address
from flwr.supercore.object_store import ObjectStore
from flwr.supercore.run import RunNotRunningException
from flwr.supernode import start_client_internal
from flwr.supernode.cli.flower_supernode import flower_supernode
from flwr.supernode.nodestate import NodeState

from flower_dgan.flower.flower_internals import shorten_waits_for_parts
from flower_dgan.flower.flower_pushes import go_on_after_lost_answers
from flower_dgan.flower.parent_process import end_with
from flower_dgan.flower.whole_replies import USED as USED_FOR_REPLIES
from flower_dgan.flower.whole_replies import WholeReplies

_ASKS_THE_SUPERLINK = ("receive", "pull_object", "confirm_message_received")
USED: Mapping[Callable[..., Any], set[str]] = {
    start_client_internal._pull_and_store_message: {"state", "object_store", *_ASKS_THE_SUPERLINK},
    start_client_internal._push_messages: {"state", "object_store", "push_object"},
    flower_supernode: set(),
    resolve_bind_address: set(),
    **USED_FOR_REPLIES,
}
"""Functions that are called or stood in for, and their arguments that must be there."""


class AdaptiveSleep:
    """Stands for the module ``time`` where Flower polls: short waits first, longer ones the longer nothing happens.

    Waits for one thing begin at 10 ms and grow up to what Flower asked for: by a twentieth where it looks into its own
    memory for the reply, half a second apart, so that one that took t seconds is noticed t / 20 later at most; and by a
    tenth where it asks the SuperLink for a message, every 3 s, as each question is a request.
    """

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def __init__(self) -> None:
        self._asked = 0.0
        self._wait = 0.0

    def sleep(self, seconds: float) -> None:
        """Wait for at most ``seconds``; another number is another thing to wait for."""
        growth = 1.05 if seconds < 1 else 1.1
        self._wait = min(seconds, growth * self._wait if seconds == self._asked else 0.01)
        self._asked = seconds
        time.sleep(self._wait)


def leave_stopped_runs(take_message: Callable[..., int | None]) -> Callable[..., int | None]:
    """Let the function by which a SuperNode takes a message leave nothing behind of a run that is stopped meanwhile."""

    def take(*, state: NodeState, object_store: ObjectStore, **arguments: Any) -> int | None:
        messages: list[Message] = []
        stopped = False

        def watched(ask: Callable[..., Any]) -> Callable[..., Any]:
            def ask_and_note(*ids: object) -> Any:
                nonlocal stopped
                try:
                    answer = ask(*ids)
                except RunNotRunningException:
                    stopped = True
                    raise
                if ask is arguments["receive"] and answer is not None:
                    messages.append(answer[0])
                return answer

            return ask_and_note

        asking = {name: watched(arguments[name]) for name in _ASKS_THE_SUPERLINK}
        run_id = take_message(state=state, object_store=object_store, **(arguments | asking))
        if stopped and messages:
            _leave_run(messages[0], state, object_store)
        return run_id

    return take


def _leave_run(message: Message, state: NodeState, object_store: ObjectStore) -> None:
    """End the work on a message of a run that is over, and forget the message and any reply to it."""
    run_ids = [message.metadata.run_id]
    for task in state.get_tasks(run_ids=run_ids, statuses=[Status.PENDING, Status.STARTING, Status.RUNNING]):
        state.finish_task(task.task_id, SubStatus.STOPPED, "The run was stopped.")  # takes the ClientApp's access
    replies = state.get_messages_legacy(run_ids=run_ids, is_reply=True)
    ids = [each.metadata.message_id for each in (message, *replies)]
    state.delete_messages(message_ids=ids)
    for message_id in ids:
        object_store.delete(message_id)


def run_fast_supernode() -> None:
    """Run ``flower-supernode`` with the options in ``sys.argv``, without its long sleeps and what it leaves behind."""
    sys.argv[0] = "flower-supernode"
    shorten_waits_for_parts()
    Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    replies = WholeReplies()
    take_message = replies.note(leave_stopped_runs(start_client_internal._pull_and_store_message))
    push_messages = replies.await_them(go_on_after_lost_answers(start_client_internal._push_messages))
    with (
        patch.object(start_client_internal, "time", AdaptiveSleep()),
        patch.object(start_client_internal, "_pull_and_store_message", take_message),
        patch.object(start_client_internal, "_push_messages", push_messages),
    ):
        flower_supernode()


def runtime_address(host: str, port: str) -> str:
    """Return where a SuperNode with this ``--host`` and ``--port`` is reached on its own machine."""
    return resolve_bind_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
