"""Flower's SuperLink without processes: link state, handlers and grid, and nodes that do as they are told."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto import fleet_pb2, message_pb2
from flwr.proto.node_pb2 import Node as NodeProto
from flwr.server.superlink.linkstate.in_memory_linkstate import InMemoryLinkState
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.federation.noop_federation_manager import NoOpFederationManager
from flwr.superlink.grid.http_grid import HttpGrid
from flwr.superlink.servicer.fleet import fleet_handlers
from flwr.superlink.servicer.runtime import runtime_handlers

HEARTBEAT_SECONDS = 30


class BrokenLinkError(Exception):
    """The node cannot send any more."""


class SuperLink:
    """Link state and object store of a running run.

    Attributes
    ----------
    grid : HttpGrid
        What a ServerApp would be given.
    asked : list of str
        Ids of messages in the order in which the grid asked for their replies.
    claimed : set of str
        Ids whose replies were given away.
    asked_in_vain : list of str
        Ids that were asked for after their replies were given away.
    pushes : int
        How often a message was brought.
    """

    def __init__(self) -> None:
        self.store = InMemoryObjectStore()
        self.state = InMemoryLinkState(NoOpFederationManager(), self.store)
        self.run_id = self.state.create_run(
            "owner/app", "1", "hash", {}, NOOP_FEDERATION_ID, None, None, TaskType.SERVER_APP
        )
        (self.task,) = self.state.get_tasks(run_ids=[self.run_id])
        self.state.claim_task(self.task.task_id)
        self.state.activate_task(self.task.task_id)
        self._before = (TaskIdentity._run_id, TaskIdentity._task_id, TaskIdentity._node_id)
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = self.run_id, self.task.task_id, 1
        self.asked: list[str] = []
        self.claimed: set[str] = set()
        self.asked_in_vain: list[str] = []
        self.pushes = 0
        self.nodes: dict[int, Node] = {}
        self.grid = _LocalGrid(self)

    def add(self, app: ClientApp, key: str) -> "Node":
        """Register and activate a node; one that has the key of another takes that one's id, if it is still known."""
        node_id = self.state.get_node_id_by_public_key(key.encode())
        if node_id is None:
            node_id = self.state.create_node("", "", key.encode(), HEARTBEAT_SECONDS)
        self.state.activate_node(node_id, HEARTBEAT_SECONDS)
        node = self.nodes[node_id] = Node(self, node_id, app)
        return node

    def close(self) -> None:
        """End the nodes, and let this process be what it was."""
        for node in self.nodes.values():
            node.end()
        TaskIdentity._run_id, TaskIdentity._task_id, TaskIdentity._node_id = self._before


class _LocalGrid(HttpGrid):
    """Flower's grid, whose calls end in the handlers of this process."""

    def __init__(self, link: SuperLink) -> None:
        super().__init__(token="token")
        self._link = link
        (run,) = link.state.get_run_info(run_ids=[link.run_id])
        self.set_run(run)

    @property
    def _runtime_client(self) -> "_LocalClient":  # type: ignore[override]
        return _LocalClient(self._link)


class _LocalClient:
    """The Runtime API of a SuperLink."""

    def __init__(self, link: SuperLink) -> None:
        self._link = link

    def PullMessages(self, request: Any) -> Any:  # noqa: N802  as Flower's is called
        link = self._link
        link.asked += request.message_ids
        link.asked_in_vain += [each for each in request.message_ids if each in link.claimed]
        response = runtime_handlers.pull_messages(request, link.state, link.task)
        link.claimed |= {each.metadata.reply_to_message_id for each in response.messages_list}
        return response

    def PushMessages(self, request: Any) -> Any:  # noqa: N802  as Flower's is called
        self._link.pushes += 1
        return runtime_handlers.push_messages(request, self._link.state, self._link.task)

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        handlers = {
            "PushObject": runtime_handlers.push_object,
            "PullObject": runtime_handlers.pull_object,
            "ConfirmMessageReceived": runtime_handlers.confirm_message_received,
            "GetNodes": runtime_handlers.get_nodes,
        }
        return lambda request: handlers[name](request, self._link.state, self._link.task)


class Node:
    """A SuperNode with its ClientApp, in a thread.

    Attributes
    ----------
    node_id : int
        Its id.
    answers : Event
        It works on a message only while this is set.
    uploads : Event
        It uploads parts of replies only while this is set.
    breaks_off : int
        So many of its next replies end before their last part is uploaded.
    taken : Counter of str
        Message type to how many it has taken.
    """

    def __init__(self, link: SuperLink, node_id: int, app: ClientApp) -> None:
        self.node_id = node_id
        self.answers, self.uploads = threading.Event(), threading.Event()
        self.answers.set()
        self.uploads.set()
        self.breaks_off = 0
        self.taken: Counter[str] = Counter()
        self._link = link
        self._app = app
        self._context = Context(link.run_id, node_id, {}, RecordDict(), {"overrides": ""})
        self._proto = NodeProto(node_id=node_id)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End it as `kill -9` does: what it worked on is gone."""
        self._ended.set()
        for event in (self.answers, self.uploads):
            event.set()
        self._thread.join(20)

    def leave(self) -> None:
        """End it as a SuperNode without a registered key ends."""
        self.end()
        self._link.state.delete_node("", self.node_id)

    def away(self) -> None:
        """Let the SuperLink think that its link is cut: it heard nothing of it for a minute."""
        self._link.state.deactivate_node(self.node_id)

    def back(self) -> None:
        """Let it be heard again."""
        self._link.state.activate_node(self.node_id, HEARTBEAT_SECONDS)

    def _work(self) -> None:
        while not self._ended.wait(0.002):
            for message in self._receive():
                self.taken[message.metadata.message_type] += 1
                self.answers.wait()
                if self._ended.is_set():
                    return
                try:
                    reply = self._app(message, self._context)
                except Exception as error:  # as Flower's own process does
                    reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, repr(error)), reply_to=message)
                try:
                    self._send(reply)
                except BrokenLinkError:
                    continue

    def _receive(self) -> Iterable[Message]:
        link = self._link
        if self.node_id not in link.state.get_nodes(link.run_id):  # its link is cut
            return
        request = fleet_pb2.PullMessagesRequest(node=self._proto)
        found = fleet_handlers.pull_messages(request, link.state, link.store)
        for proto, tree in zip(found.messages_list, found.message_object_trees, strict=True):
            contents = {}
            for each in iterate_object_tree(tree):
                pull = message_pb2.PullObjectRequest(node=self._proto, run_id=link.run_id, object_id=each.object_id)
                while not (got := fleet_handlers.pull_object(pull, link.state)).object_available:
                    self._ended.wait(0.002)  # the server still brings it
                contents[each.object_id] = got.object_content
            confirm = message_pb2.ConfirmMessageReceivedRequest(
                node=self._proto, run_id=link.run_id, message_object_id=tree.object_id
            )
            fleet_handlers.confirm_message_received(confirm, link.state, link.store)
            message = inflate_object_from_contents(tree.object_id, contents)
            message.metadata.__dict__["_message_id"] = proto.metadata.message_id
            yield message

    def _send(self, reply: Message) -> None:
        link = self._link
        with no_object_id_recompute():
            reply.metadata.__dict__["_message_id"] = reply.object_id
            objects, tree = get_all_nested_objects(reply), get_object_tree(reply)
        bare = message_to_proto(remove_content_from_message(reply))
        request = fleet_pb2.PushMessagesRequest(node=self._proto, messages_list=[bare], message_object_trees=[tree])
        found = fleet_handlers.push_messages(request, link.state)
        wanted = [each for each in objects if each in set(found.objects_to_push)]
        for number, object_id in enumerate(wanted):
            self.uploads.wait()
            if self._ended.is_set() or (self.breaks_off and number == len(wanted) - 1):
                self.breaks_off -= 1
                raise BrokenLinkError
            push = message_pb2.PushObjectRequest(
                node=self._proto,
                run_id=link.run_id,
                object_id=object_id,
                object_content=objects[object_id].deflate(),
                session_id=found.session_id,
            )
            fleet_handlers.push_object(push, link.state)
