"""A run whose app bundle means ill, at real SuperNodes."""

import json
import os
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from flwr.common.constant import ErrorCode
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.constant import TaskType

from local_flower import superlink, supernode, write_app

SERVER = """
import json, pathlib, time
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid, context):
    while len(nodes := list(grid.get_node_ids())) < 2:
        time.sleep(0.2)
    content = RecordDict({"request": ConfigRecord({"anything": 1})})
    messages = [Message(content, dst_node_id=node, message_type="query.join") for node in nodes]
    replies = grid.send_and_receive(messages, timeout=200)
    found = [reply.error.code if reply.has_error() else dict(reply.content["who"]) for reply in replies]
    pathlib.Path(context.run_config["overrides"]).write_text(json.dumps(found))
"""
OWN_APP = """
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query("join")
def join(message, context):
    return Message(RecordDict({"who": ConfigRecord({"name": NAME})}), reply_to=message)
"""


@pytest.mark.slow
def test_a_bundle_runs_nothing_at_nodes_which_answer_with_what_is_installed(tmp_path: Path) -> None:
    """One node has the shipped ClientApp, which refuses what it does not know, and one an app of its owner's."""
    markers, site, home = tmp_path / "markers", tmp_path / "site", tmp_path / "home"
    for folder in (markers, site, home):
        folder.mkdir()
    evil = f"import os, pathlib\npathlib.Path({str(markers)!r}, __name__).write_text(str(os.getpid()))\n"
    (site / "installed_app.py").write_text(f"{OWN_APP}\nNAME = 'installed'\n")
    app = write_app(tmp_path / "app", "evil_server:app", "evil_client:app")
    (app / "evil_server.py").write_text(SERVER)
    for name in ("evil_client.py", "installed_app.py", "sitecustomize.py"):
        (app / name).write_text(f"{evil}{OWN_APP}\nNAME = 'of the bundle'\n")
    for package in ("flower_dgan", "hydra_plugins", "segmentation_models_pytorch"):
        (app / package).mkdir()
        (app / package / "__init__.py").write_text(evil)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    with superlink() as flower:
        # The server is the attacker's and unpacks its bundle; what a node writes goes elsewhere.
        nodes = replace(flower, environment={**flower.environment, "FLWR_HOME": str(home), "PYTHONPATH": path})
        shipped = ("--insecure", "--node-config", 'data-path="/data" name="clinic"')
        with (
            supernode(nodes, "shipped", *shipped) as process,
            supernode(nodes, "own", "--insecure", "--client-app", "installed_app:app"),
        ):
            flower.run(app, str(tmp_path / "found.json"), timeout=300)
            port = process.args[-1]  # type: ignore[index]
            stolen = httpx.post(
                f"http://127.0.0.1:{port}/v1/runtime/acquire-task",
                content=AcquireTaskRequest(supported_task_types=list(TaskType)).SerializeToString(),
                headers={"content-type": "application/protobuf"},
            )
    assert [file.name for file in markers.iterdir()] == []
    answers = json.loads((tmp_path / "found.json").read_text())
    (refusal,) = (each for each in answers if isinstance(each, int))
    assert refusal not in set(ErrorCode.__dict__.values())  # none of Flower's: the shipped ClientApp refused it
    assert [each for each in answers if not isinstance(each, int)] == [{"name": "installed"}]
    assert [file for file in home.rglob("*") if file.suffix in (".py", ".toml")] == []
    assert stolen.status_code == 401
