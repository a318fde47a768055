"""A SuperNode's Runtime API, served by Flower's own app from Flower's own state, and app bundles that mean ill."""

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.cli.build import build_fab_from_disk
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supernode import start_client_internal
from flwr.supernode.main import create_app
from flwr.supernode.nodestate import NodeState, NodeStateFactory

from flower_dgan.flower.executor_internals import RuntimeApi
from flower_dgan.flower.flower_internals import take_identity
from local_flower import write_app

RUN_ID, NODE_ID = 7, 1
FAB_ID, FAB_VERSION = "flower-dgan/flower-dgan-check", "1.0.0"


@dataclass(frozen=True)
class Node:
    """A SuperNode that has taken messages of one run, and offers them as tasks."""

    runtime: RuntimeApi
    state: NodeState
    fab_hash: str

    def add_task(self, task_type: str = TaskType.CLIENT_APP, message_type: str = "query") -> int:
        """Store a message and the task to answer it, as Flower's loop does; return the task's id."""
        take_identity()
        number = len(self.state.get_tasks())
        content = RecordDict({"question": ConfigRecord({"number": number})})
        message = Message(content, dst_node_id=NODE_ID, message_type=message_type)
        message.metadata.__dict__["_run_id"] = RUN_ID
        start_client_internal._insert_message(message, self.state, self.state.object_store)
        task = self.state.create_task(task_type=task_type, run_id=RUN_ID, fab_hash=self.fab_hash)
        assert task is not None
        return task

    def replies(self) -> list[Message]:
        """Return the replies, without what they hold; each is forgotten with its question, as when it was sent."""
        replies = list(self.state.get_messages_legacy(run_ids=[RUN_ID], is_reply=True))
        for each in replies:
            ids = [each.metadata.message_id, each.metadata.reply_to_message_id]
            self.state.delete_messages(message_ids=ids)
        return replies


@contextmanager
def serve_node(bundle: bytes, secret: bytes | None) -> Iterator[Node]:
    """Serve a SuperNode that was given a bundle; ``secret`` as Flower's option, None without one."""
    factory = NodeStateFactory(ObjectStoreFactory())
    state = factory.state()
    state.set_node_id(NODE_ID)
    fab_hash = state.store_fab(Fab(hashlib.sha256(bundle).hexdigest(), bundle, {}))
    run = replace(Run.create_empty(RUN_ID), fab_id=FAB_ID, fab_version=FAB_VERSION, fab_hash=fab_hash)
    state.store_run(run)
    context = Context(run_id=RUN_ID, node_id=NODE_ID, node_config={}, state=RecordDict(), run_config={})
    state.set_run_series_context(run.series_id, context)
    app = create_app(factory, secret)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the Runtime API did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Node(RuntimeApi(f"127.0.0.1:{port}", None), state, fab_hash)
    finally:
        server.should_exit = True
        thread.join()


def build_bundle(folder: Path, files: Mapping[str, str], client_app: str) -> bytes:
    """Build a bundle of these files by Flower's own builder; add those that only a builder of one's own would take."""
    write_app(folder, client_app=client_app)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    built = build_fab_from_disk(folder)
    with zipfile.ZipFile(io.BytesIO(built)) as bundle:
        contents = {name: bundle.read(name) for name in bundle.namelist() if name != ".info/CONTENT"}
    contents |= {name: text.encode() for name, text in files.items()}
    listed = [f"{name},{hashlib.sha256(text).hexdigest()},{8 * len(text)}" for name, text in contents.items()]
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as bundle:
        for name, text in contents.items():
            bundle.writestr(name, text)
        bundle.writestr(".info/CONTENT", "\n".join(listed))
    return result.getvalue()
