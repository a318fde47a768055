"""What can be told of a warm SuperNode without starting one; ``tests/e2e`` starts them."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError, pull_objects

from flower_dgan.errors import ConfigError
from flower_dgan.runtime import flower_internals, supernode
from flower_dgan.runtime.flower_internals import AdaptiveSleep, reason_against_warm_clients, shorten_waits_for_parts


def test_the_installed_flower_takes_warm_clients() -> None:
    assert reason_against_warm_clients() is None


def test_waits_grow_up_to_what_was_asked_and_start_anew_for_another_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    sleeper = AdaptiveSleep()
    for seconds in (3, 3, 3, 0.5, 0.5, 3, 0.005):
        sleeper.sleep(seconds)
    assert waits == pytest.approx([0.01, 0.012, 0.0144, 0.01, 0.012, 0.01, 0.005])
    for _ in range(40):
        sleeper.sleep(0.5)
    assert waits[-1] == 0.5


def test_parts_of_a_message_are_waited_for_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that is there at the third look is there after 20 and 40 ms, give or take the jitter of a fifth."""
    monkeypatch.setattr(pull_objects, "__kwdefaults__", dict(pull_objects.__kwdefaults__))
    waits: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", lambda _, seconds=None: waits.append(seconds))
    looks = iter([False, False, True])

    def pull(object_id: str) -> bytes:
        if not next(looks):
            raise ObjectUnavailableError(object_id)
        return b"content"

    shorten_waits_for_parts()
    assert pull_objects(["a"], pull) == {"a": b"content"}
    assert [wait for wait in waits if wait] == pytest.approx([0.02, 0.04], rel=0.21)


def test_another_release_of_flower_runs_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        commands.append([str(part) for part in command])
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(flower_internals, "version", lambda _: "1.60.0")
    monkeypatch.setattr(subprocess, "run", run)
    assert supernode.run_supernode(["--insecure", "--superlink", "host:1"]) == 7
    plain = Path(sys.executable).parent / "flower-supernode"
    assert commands == [[str(plain), "--insecure", "--superlink", "host:1"]]
    assert "imports torch anew: it is tested with flwr 1.41.x, not 1.60.0" in caplog.text


def test_isolation_is_not_for_the_user_to_choose() -> None:
    with pytest.raises(ConfigError, match="chooses --isolation itself"):
        supernode.run_supernode(["--isolation", "subprocess"])


def test_a_secret_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be read"):
        supernode.run_supernode(["--superexec-auth-secret-file", str(tmp_path / "nowhere")])


@pytest.mark.parametrize(
    ("options", "address", "certificate"),
    [
        ([], "127.0.0.1:9094", None),
        (["--host", "0.0.0.0", "--port=9100"], "127.0.0.1:9100", None),
        (["--host", "::1"], "[::1]:9094", None),
        (["--ssl-ca-certfile", "~/ca.pem"], "127.0.0.1:9094", "/home/owner/ca.pem"),
        (["--appio-ssl-ca-certfile=/ca.pem"], "127.0.0.1:9094", "/ca.pem"),
        (["--ssl-ca", "/ca.pem", "--ssl-certfile", "/a", "--superlink", "host:1"], "127.0.0.1:9094", "/ca.pem"),
    ],
)
def test_the_executor_reads_the_options_as_the_supernode_does(
    options: list[str], address: str, certificate: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Running:
        returncode = None

        def __init__(self, command: list[str]) -> None:
            commands.append(command)

        def poll(self) -> None: ...

        def terminate(self) -> None: ...

        def wait(self, seconds: float) -> None: ...

    commands: list[list[str]] = []
    served: list[tuple[object, ...]] = []
    monkeypatch.setenv("HOME", "/home/owner")
    monkeypatch.setenv("FLWR_SUPEREXEC_TASK_POLL_INTERVAL", "0.02")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(subprocess, "Popen", Running)
    monkeypatch.setattr(supernode, "_import_everything", lambda: None)
    monkeypatch.setattr(supernode, "run_forking_superexec", lambda *arguments: served.append(arguments))
    assert supernode.run_supernode(options) == 0
    assert served == [(address, certificate, None)]
    assert commands[0][3:] == [*options, "--isolation", "process"]
