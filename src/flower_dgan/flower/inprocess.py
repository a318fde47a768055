"""A grid without Flower's runtime: the real strategy and the real ClientApp in one process."""

import secrets
from collections.abc import Iterable, Mapping

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from flower_dgan.flower.flower_internals import take_identity
from flower_dgan.node.simulation import simulating


class InProcessGrid(Grid):
    """Calls a ClientApp for every message.

    Parameters
    ----------
    app : ClientApp
        The app of every node.
    contexts : mapping of int to Context
        One a node, by node id; see :func:`simulated_contexts`.
    """

    def __init__(self, app: ClientApp, contexts: Mapping[int, Context]) -> None:
        take_identity()
        self._app = app
        self._contexts = contexts
        self._replies: dict[str, Message] = {}

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of all nodes."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Let the nodes answer at once; an exception becomes an error reply, as in Flower."""
        message_ids = []
        for message in messages:
            message_id = f"message-{id(self)}-{len(self._replies)}-{message.object_id}"
            message.metadata.__dict__["_message_id"] = message_id
            try:
                with simulating():
                    reply = self._app(message, self._contexts[message.metadata.dst_node_id])
            except Exception as error:  # whatever a ClientApp raises, Flower answers with an error
                reply = Message(Error(code=0, reason=repr(error)), reply_to=message)
            self._replies[message_id] = reply
            message_ids.append(message_id)
        return message_ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies, each once."""
        return [self._replies.pop(message_id) for message_id in list(message_ids)]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Push and pull."""
        return self.pull_messages(self.push_messages(messages))

    def set_run(self, run: object) -> None:
        """Do nothing: there is no run."""

    @property
    def run(self) -> object:  # type: ignore[override]
        """There is no run."""
        raise NotImplementedError("an in-process grid has no run")

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Flower deprecated this."""
        raise NotImplementedError("use Message(...)")


def simulated_contexts(clients: int, overrides: str) -> dict[int, Context]:
    """Return the contexts of simulated nodes 1 .. ``clients`` with partition ids from 0."""
    run_id = secrets.randbits(63)  # what nodes keep of one run does not meet another's
    return {
        node_id: Context(
            run_id=run_id,
            node_id=node_id,
            node_config={"partition-id": node_id - 1, "num-partitions": clients},
            state=RecordDict(),
            run_config={"overrides": overrides},
        )
        for node_id in range(1, clients + 1)
    }
