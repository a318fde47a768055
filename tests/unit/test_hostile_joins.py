"""Under every policy: no code that a training names runs, and nothing of machine and files comes back in an answer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from flower_dgan.node import open_sessions
from flower_dgan.node.presets import PRESETS
from flower_dgan.wire.description import describe_training
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.packing import pack_content
from flower_dgan.wire.refusals import Refusal
from tests.clinic import FIRST, Clinic, settings
from tests.pairs import make_folder

PLANTED = "mabuse-4711"


@pytest.fixture(scope="module")
def described() -> str:
    return describe_training(settings())


@pytest.fixture(params=list(PRESETS))
def clinic(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    """Return a node under each policy, with a secret in its environment, in a file and in the names of its images."""
    monkeypatch.setenv("PLANTED", PLANTED)
    folder = make_folder(tmp_path / "pairs", sites=1, images=9, size=24)
    for part in ("images", "masks"):
        (folder / part / "tr_site0_tr0_0.png").rename(folder / part / f"tr_site0_{PLANTED}_0.png")
    (tmp_path / "secret.csv").write_text(f"name,split\n{PLANTED},tr\n")
    open_sessions._OPEN.clear()
    found = Clinic(folder, tmp_path)
    found.node_config["policy"] = request.param
    yield found
    open_sessions._OPEN.clear()


def join(clinic: Clinic, description: Any, training: str = FIRST.identity) -> Message:
    values = {**FIRST.values(), "training": training, "description": json.dumps(description)}
    return clinic.send(RecordDict({"join": ConfigRecord(values)}), JOIN)


def texts(values: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield where each setting is that is, or may be, a text."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from texts(value)
        elif isinstance(value, str) or value is None:
            yield values, name


def test_no_setting_brings_a_secret_of_the_machine_back(clinic: Clinic, described: str, tmp_path: Path) -> None:
    hostile = [
        "${oc.env:PLANTED}",
        str(tmp_path / "secret.csv"),
        "(?P<group>mabuse.*)|(?P<split>.*)",
        "/proc/self/environ",
    ]
    places = len(list(texts(json.loads(described))))
    assert places > 15
    for number in range(places):
        description = json.loads(described)
        where, name = list(texts(description))[number]
        where[name] = hostile[number % len(hostile)]
        reply = join(clinic, description, f"{number:016x}")
        said = reply.error.reason if reply.has_error() else pack_content(reply.content).decode("latin-1")
        assert PLANTED not in said
        assert not reply.has_error() or reply.error.reason == Refusal(reply.error.code).sentence


def test_no_code_that_a_training_names_runs(clinic: Clinic, described: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even imported: ``this`` prints a poem when it is."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it ran"))
    sys.modules.pop("this", None)
    for group, name in (("model", "discriminator"), ("algorithm", "name"), ("data", "source")):
        for path in ("subprocess:Popen", "this:s"):
            description = json.loads(described)
            description[group][name] = path
            assert clinic.refusal(join(clinic, description)) == Refusal.PLUGINS
    assert "this" not in sys.modules
