"""A node does the tasks of a run with its installed ClientApp, whatever the bundle of the run holds."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import Status, SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest, AcquireTaskResponse
from flwr.supercore.constant import TaskType
from flwr.supercore.task_identity import TaskIdentity

from flower_dgan.flower.executor_internals import APP_FAILED, NO_OTHER_TASKS, do_task
from flower_dgan.flower.supernode import load_client_app
from tests.node_runtime import Node, build_bundle, serve_node

SECRET = b"of SuperNode and executor"
# The installed app imports late, as flower_dgan's does: once by name and once whatever a namespace package holds.
INSTALLED = """
import importlib
import pkgutil

from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query()
def answer(message, context):
    try:
        import late_module
    except ModuleNotFoundError:
        pass
    import hydra_plugins
    for found in pkgutil.iter_modules(hydra_plugins.__path__, "hydra_plugins."):
        importlib.import_module(found.name)
    return Message(RecordDict(), reply_to=message)
"""
EVIL = """
import os, pathlib
pathlib.Path(os.environ["MARKER"]).write_text(__name__)
"""
OWN_APP = f"{EVIL}\nfrom flwr.clientapp import ClientApp\napp = ClientApp()\n"
SITE = {"sitecustomize.py": EVIL, "usercustomize.py": EVIL, "evil.pth": "import sitecustomize\n"}
# name: files of the bundle, its entry point, what the node has imported before
BUNDLES: dict[str, tuple[dict[str, str], str, str]] = {
    "entry point": ({"evil.py": OWN_APP}, "evil:app", "installed_app"),
    "package of the same name": ({"installed_app.py": OWN_APP}, "installed_app:app", ""),
    "late module": ({"late_module.py": EVIL}, "installed_app:app", "installed_app"),
    "namespace package": ({"hydra_plugins/evil.py": EVIL}, "installed_app:app", "installed_app"),
    "files for the start of Python": ({**SITE, "evil.py": OWN_APP}, "evil:app", "installed_app"),
}
FLOWERS_OWN = """
import importlib, sys
from flwr.supernode.runtime.run_clientapp import run_clientapp
address, token, imported = sys.argv[1:]
if imported:
    importlib.import_module(imported)
run_clientapp(address, token, insecure=True)
"""
OURS = """
import sys
from flower_dgan.flower.executor_internals import RuntimeApi, serve_tasks
from flower_dgan.flower.supernode import load_client_app
serve_tasks(RuntimeApi(sys.argv[1], None), sys.argv[2].encode(), load_client_app("installed_app:app"), 2)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of installed packages, here and in processes that are started, with the app in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "installed_app.py").write_text(INSTALLED)
    monkeypatch.setenv("MARKER", str(tmp_path / "marker"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "installed_app", raising=False)
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, getattr(TaskIdentity, name))
    return folder


def bundle_of(name: str, tmp_path: Path) -> bytes:
    files, client_app, _ = BUNDLES[name]
    return build_bundle(tmp_path / "app", files, client_app)


def wait_for_reply(node: Node, process: "subprocess.Popen[bytes]") -> Message:
    deadline = time.monotonic() + 120
    while not (replies := node.replies()):
        assert process.poll() is None, "the executor ended"
        assert time.monotonic() < deadline, "no reply"
        time.sleep(0.05)
    return replies[0]


@pytest.mark.parametrize("name", BUNDLES)
def test_nothing_of_a_bundle_is_executed_imported_or_written(
    name: str, tmp_path: Path, site: Path, own_home: Path
) -> None:
    with serve_node(bundle_of(name, tmp_path), SECRET) as node:
        app = load_client_app("installed_app:app")
        token = node.state.claim_task(node.add_task())
        assert token is not None
        path = list(sys.path)
        do_task(node.runtime, token, TaskType.CLIENT_APP, app)
        (reply,) = node.replies()
    assert not reply.has_error()
    assert not (tmp_path / "marker").exists()
    assert sys.path == path
    assert [file for file in own_home.rglob("*") if file.is_file()] == []
    assert "evil" not in sys.modules
    assert "late_module" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLES)
def test_plain_flower_executes_what_a_bundle_brings(name: str, tmp_path: Path, site: Path, own_home: Path) -> None:
    """The same bundles do harm where Flower's own function does the task: the test above is no empty one."""
    with serve_node(bundle_of(name, tmp_path), None) as node:
        token = node.state.claim_task(node.add_task())
        command = [sys.executable, "-c", FLOWERS_OWN, node.runtime.address, str(token), BUNDLES[name][2]]
        subprocess.run(command, check=False, capture_output=True, cwd=tmp_path)
    assert (tmp_path / "marker").exists()
    assert list(own_home.rglob("pyproject.toml"))


@pytest.mark.slow
def test_forked_children_answer_every_task_and_refuse_other_types(tmp_path: Path, site: Path, own_home: Path) -> None:
    replies: list[Message] = []
    with serve_node(bundle_of("late module", tmp_path), SECRET) as node:
        process = subprocess.Popen([sys.executable, "-c", OURS, node.runtime.address, SECRET.decode()], cwd=tmp_path)
        try:
            for task_type in (TaskType.CLIENT_APP, TaskType.AGENT_APP, TaskType.CLIENT_APP):
                node.add_task(task_type)
                replies.append(wait_for_reply(node, process))
        finally:
            process.terminate()
            process.wait(30)
    reasons = [reply.error.reason if reply.has_error() else None for reply in replies]
    assert reasons == [None, NO_OTHER_TASKS, None]
    assert not (tmp_path / "marker").exists()


def do_one(node: Node, app: ClientApp, task_type: str = TaskType.CLIENT_APP) -> Message:
    task_id = node.add_task(task_type)
    token = node.state.claim_task(task_id)
    assert token is not None
    do_task(node.runtime, token, task_type, app)
    (task,) = node.state.get_tasks(task_ids=[task_id])
    assert (task.status.status, task.status.sub_status) == (Status.FINISHED, SubStatus.COMPLETED)
    (reply,) = node.replies()
    return reply


@pytest.mark.parametrize("task_type", [each for each in TaskType if each != TaskType.CLIENT_APP] + ["flwr-of-later"])
def test_other_types_of_tasks_are_refused(task_type: str, tmp_path: Path, site: Path) -> None:
    app = ClientApp()
    asked: list[Message] = []
    app.query()(lambda message, _: asked.append(message))
    with serve_node(build_bundle(tmp_path / "app", {}, "a:app"), SECRET) as node:
        reply = do_one(node, app, task_type)
    assert reply.error.reason == NO_OTHER_TASKS
    assert asked == []


def test_the_text_of_an_exception_stays_at_the_node(
    tmp_path: Path, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = ClientApp()

    @app.query()
    def fail(message: Message, context: Context) -> Message:
        raise ValueError("/data/patient-17.png is broken")

    with serve_node(build_bundle(tmp_path / "app", {}, "a:app"), SECRET) as node:
        reply = do_one(node, app)
        details = [task.status.details for task in node.state.get_tasks()]
    assert reply.error.reason == APP_FAILED
    assert details == [""]
    assert "patient-17" in caplog.text


def test_a_process_stays_after_an_exchange_and_parts_of_one(tmp_path: Path, site: Path) -> None:
    """Not after other queries, nor after an error: whether the app raised it or answered so."""
    app = ClientApp()

    @app.train("exchange")
    @app.query("part")
    @app.query("join")
    def answer(message: Message, context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    @app.train("refuse")
    def refuse(message: Message, context: Context) -> Message:
        return Message(Error(1000, "no"), reply_to=message)

    @app.train("fail")
    def fail(message: Message, context: Context) -> Message:
        raise ValueError

    wanted = {"train.exchange": True, "query.part": True, "query.join": False, "train.refuse": False}
    wanted |= {"train.fail": False, "train.unknown": False}
    with serve_node(build_bundle(tmp_path / "app", {}, "a:app"), SECRET) as node:
        found = {}
        for message_type in wanted:
            token = node.state.claim_task(node.add_task(message_type=message_type))
            found[message_type] = do_task(node.runtime, str(token), TaskType.CLIENT_APP, app)
            assert len(node.replies()) == 1
    assert found == wanted


def test_an_app_that_is_ended_leaves_a_failed_task(tmp_path: Path, site: Path) -> None:
    app = ClientApp()

    @app.query()
    def end(message: Message, context: Context) -> Message:
        raise SystemExit

    with serve_node(build_bundle(tmp_path / "app", {}, "a:app"), SECRET) as node:
        with pytest.raises(SystemExit):
            do_one(node, app)
        (task,) = node.state.get_tasks()
        assert node.replies() == []
    assert (task.status.status, task.status.sub_status) == (Status.FINISHED, SubStatus.FAILED)


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_foreign_process_takes_no_task(secret: bytes | None, tmp_path: Path, site: Path) -> None:
    """Without a secret, as Flower has it by default, any process of the machine is given the task."""
    with serve_node(build_bundle(tmp_path / "app", {}, "a:app"), secret) as node:
        node.add_task()
        answer = httpx.post(
            f"http://{node.runtime.address}/v1/runtime/acquire-task",
            content=AcquireTaskRequest(supported_task_types=list(TaskType)).SerializeToString(),
            headers={"content-type": "application/protobuf", "accept": "application/protobuf"},
        )
    if secret is None:
        assert answer.status_code == 200
        assert AcquireTaskResponse.FromString(answer.content).token
    else:
        assert answer.status_code == 401
