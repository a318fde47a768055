"""How a SuperNode comes by the reply to a message whose ClientApp was killed at whatever it did.

A SuperNode takes one message, waits for a reply, whichever that is, sends it, and takes the next message. Flower says
that a ClientApp crashed if its process was silent for a minute after it had taken the message. That leaves out:

- One that was killed after its task began and before it took the message: nobody replies, and the SuperNode waits for
  ever.
- One that was killed while it gave its reply: the SuperNode waits for ever for the parts that are missing.
- One that was killed after it gave its reply, and before it said that its task is done: a minute later Flower says of
  the *next* message that its ClientApp crashed, while that one still works. Its own reply is then taken for the one to
  the message after that, whose reply waits for yet another message.
- One whose task was said to have failed, without a reply: Flower waits for ever.

``_insert_message``: how Flower itself puts a reply of its own beside those of ClientApps.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from flwr.app import Message
from flwr.common.constant import Status
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.object_store import NoObjectInStoreError, ObjectStore
from flwr.supernode import start_client_internal
from flwr.supernode.nodestate import NodeState
from flwr.supernode.nodestate.in_memory_nodestate import CLIENT_APP_CRASHED_ERROR

logger = logging.getLogger("flwr")

USED = {start_client_internal._insert_message: {"msg", "state", "store"}}
"""Functions that are called, and their arguments that must be there."""

_UNFINISHED = (Status.PENDING, Status.STARTING, Status.RUNNING)


class WholeReplies:
    """Lets a SuperNode send the whole reply to the message that it took, or that its ClientApp crashed.

    The two methods change the two functions of Flower that take a message and send replies, which it calls in turn.
    """

    def __init__(self) -> None:
        self._taken: Message | None = None

    def note(self, take_message: Callable[..., int | None]) -> Callable[..., int | None]:
        """Let the function that takes a message leave word which one it was."""

        def take(*, receive: Callable[[], tuple[Message, Any] | None], **arguments: Any) -> int | None:
            def receive_and_note() -> tuple[Message, Any] | None:
                answer = receive()
                self._taken = None if answer is None else answer[0]
                return answer

            return take_message(receive=receive_and_note, **arguments)

        return take

    def await_them(self, push_messages: Callable[..., None]) -> Callable[..., None]:
        """Let the function that waits for a reply, and sends it, find no other one than is wanted."""

        def push(*, state: NodeState, object_store: ObjectStore, **arguments: Any) -> None:
            if self._taken is None:
                raise RuntimeError("Flower's SuperNode waits for a reply without having taken a message.")
            wanted = _Wanted(self._taken, state, object_store)
            push_messages(state=wanted, object_store=object_store, **arguments)

        return push


class _Wanted:
    """Stands for the node's state where Flower looks for a reply."""

    def __init__(self, taken: Message, state: NodeState, store: ObjectStore) -> None:
        self._taken = taken
        self._state = state
        self._store = store
        self._replies: list[Message] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def get_messages_legacy(self, *, is_reply: bool) -> Sequence[Message]:
        """Return the reply once it is whole, none while somebody works on it, or else one that says that nobody does.

        Whoever works gives the reply before the task is done, so tasks are looked at first.
        """
        run_ids = [self._taken.metadata.run_id]
        at_work = bool(self._state.get_tasks(run_ids=run_ids, statuses=_UNFINISHED))
        self._replies += self._state.get_messages_legacy(is_reply=is_reply)
        for reply in list(self._replies):
            answers = reply.metadata.reply_to_message_id == self._taken.metadata.message_id
            if not answers or (at_work and _is_of_a_crash(reply)) or not (at_work or self._is_whole(reply)):
                self._drop(reply)
        if whole := [reply for reply in self._replies if self._is_whole(reply)]:
            return whole[:1]
        if at_work:
            return []
        return [self._say_that_it_crashed()]

    def _is_whole(self, reply: Message) -> bool:
        try:
            tree = self._store.get_object_tree(reply.metadata.message_id)
        except NoObjectInStoreError:
            return False
        return all(self._store.get(each.object_id) for each in iterate_object_tree(tree))

    def _drop(self, reply: Message) -> None:
        self._replies.remove(reply)
        self._state.delete_messages(message_ids=[reply.metadata.message_id])
        self._store.delete(reply.metadata.message_id)

    def _say_that_it_crashed(self) -> Message:
        logger.warning(
            "The ClientApp was gone before it had given its reply. The server is told so, and may ask again."
        )
        message_id = self._taken.metadata.message_id
        self._state.record_message_processing_start(message_id)
        self._state.record_message_processing_end(message_id)
        self._store.delete(message_id)  # nobody takes its parts any more
        reply = Message(CLIENT_APP_CRASHED_ERROR, reply_to=self._taken)
        start_client_internal._insert_message(msg=reply, state=self._state, store=self._store)
        return reply


def _is_of_a_crash(reply: Message) -> bool:
    return reply.has_error() and reply.error.code == CLIENT_APP_CRASHED_ERROR.code
