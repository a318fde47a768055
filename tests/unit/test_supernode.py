"""What can be told of a warm SuperNode without starting one; ``tests/e2e`` starts them."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from flwr.proto.task_pb2 import Task
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError, pull_objects
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.errors import ConfigError
from flower_dgan.flower import executor_internals, supernode
from flower_dgan.flower.executor_internals import RuntimeApi
from flower_dgan.flower.flower_internals import shorten_waits_for_parts
from flower_dgan.flower.supernode import load_client_app, reason_against_warm_clients
from flower_dgan.flower.supernode_internals import AdaptiveSleep


class Started:
    """What :func:`run_supernode` starts and serves, written down in place of being done."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.plain: list[list[str]] = []
        self.served: list[tuple[RuntimeApi, bytes]] = []
        self.most_workers: list[int] = []
        self.secret_mode = 0
        self.secret_file = Path()

    def popen(self, command: Sequence[str]) -> "Started.Running":
        self.commands.append(list(command))
        return Started.Running()

    def run(self, command: Sequence[object], check: bool) -> subprocess.CompletedProcess[bytes]:
        self.plain.append([str(part) for part in command])
        return subprocess.CompletedProcess([], 7)

    def serve(self, runtime: RuntimeApi, secret: bytes, app: object, most_workers: int) -> None:
        self.served.append((runtime, secret))
        self.most_workers.append(most_workers)
        self.secret_file = Path(self.commands[-1][-1])
        self.secret_mode = stat.S_IMODE(self.secret_file.stat().st_mode)
        assert self.secret_file.read_bytes() == secret

    class Running:
        returncode = None

        def poll(self) -> None: ...

        def terminate(self) -> None: ...

        def wait(self, seconds: float) -> None: ...


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Start nothing, and return what would be."""
    found = Started()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(subprocess, "Popen", found.popen)
    monkeypatch.setattr(subprocess, "run", found.run)
    monkeypatch.setattr(executor_internals, "serve_tasks", found.serve)
    monkeypatch.setattr(supernode, "load_client_app", lambda path: path)
    monkeypatch.setattr(supernode, "_require_free", lambda *_: None)
    before = list(sys.path)
    yield found
    sys.path[:] = before


def test_the_installed_flower_takes_warm_clients() -> None:
    assert reason_against_warm_clients() is None


def test_waits_grow_up_to_what_was_asked_and_start_anew_for_another_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    sleeper = AdaptiveSleep()
    for seconds in (3, 3, 3, 0.5, 0.5, 3, 0.005):
        sleeper.sleep(seconds)
    assert waits == pytest.approx([0.01, 0.011, 0.0121, 0.01, 0.0105, 0.01, 0.005])
    for _ in range(90):
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


def test_another_release_of_flower_is_used_with_a_warning(
    started: Started, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supernode, "version", lambda _: "1.60.0")
    assert supernode.run_supernode(["--insecure"]) == 0
    assert len(started.served) == 1
    assert "tested with flwr 1.41.x and 1.42.x. This is 1.60.0, which has all that is used of it" in caplog.text


@pytest.mark.parametrize("release", ["1.41.0", "1.42.0", "1.42.3"])
def test_nothing_is_said_of_a_release_that_the_tests_run_with(
    release: str, started: Started, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supernode, "version", lambda _: release)
    assert supernode.run_supernode(["--insecure"]) == 0
    assert "tested with" not in caplog.text


def test_a_port_that_is_taken_is_said_before_anything_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with pytest.raises(ConfigError, match=rf"port {port}: Address already in use. A second SuperNode .* --port"):
            supernode.run_supernode(["--insecure", "--port", port])
    for wrong in ("x", "70000"):
        with pytest.raises(ConfigError, match=f"--port {wrong} is no port"):
            supernode.run_supernode(["--insecure", "--port", wrong])


def lacks_a_module(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "flower_dgan.flower.executor_internals", None)
    return "lacks what is used of it: import of flower_dgan.flower.executor_internals halted"


def lacks_an_argument(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(executor_internals, "USED", {executor_internals.pull_task_input: {"client", "colour", "age"}})
    return "pull_task_input of flwr 1.41.0 takes no age, colour"


def lacks_forks(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delattr(os, "fork")
    return "this system cannot fork a process"


def lacks_a_field(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(executor_internals, "FIELDS", {Task: {"run_id", "colour"}})
    return "Task of flwr 1.41.0 has no colour"


@pytest.mark.parametrize("lacking", [lacks_a_module, lacks_an_argument, lacks_a_field, lacks_forks])
def test_where_the_bundle_cannot_be_kept_out_the_owner_decides(
    lacking: Callable[[pytest.MonkeyPatch], str],
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reason = lacking(monkeypatch)
    monkeypatch.setattr(supernode, "version", lambda _: "1.41.0")
    with pytest.raises(ConfigError, match=reason) as error:
        supernode.run_supernode(["--insecure", "--superlink", "host:1"])
    assert "whoever starts a run can then run any code here" in str(error.value)
    assert (started.commands, started.plain, started.served) == ([], [], [])
    assert supernode.run_supernode(["--insecure", "--allow-bundle-code", "--superlink", "host:1"]) == 7
    plain = str(Path(sys.executable).parent / "flower-supernode")
    assert started.plain == [[plain, "--insecure", "--superlink", "host:1"]]
    assert started.commands == []
    assert "whoever starts a run can run any code here" in caplog.text


def test_the_owners_permission_changes_nothing_where_it_is_not_needed(started: Started) -> None:
    assert supernode.run_supernode(["--allow-bundle-code", "--insecure"]) == 0
    assert started.plain == []
    assert len(started.served) == 1
    assert "--allow-bundle-code" not in started.commands[0]


@pytest.mark.parametrize("more", [[], ["--allow-bundle-code"]])
@pytest.mark.parametrize("option", ["--allow-runtime-dependency-installation", "--allow-runtime"])
def test_nothing_is_installed_for_a_run(option: str, more: list[str], started: Started) -> None:
    with pytest.raises(ConfigError, match="installs nothing that a run asks for"):
        supernode.run_supernode([option, *more])
    assert (started.commands, started.plain) == ([], [])


def test_the_owner_says_how_many_workers_stay(started: Started) -> None:
    for options in ([], ["--resident-workers", "0"], ["--resident-workers=64"]):
        assert supernode.run_supernode([*options, "--insecure"]) == 0
    assert started.most_workers == [2, 0, 64]
    assert all("--resident-workers" not in " ".join(command) for command in started.commands)
    for given in ("-1", "65", "two", "", "\u0662"):
        with pytest.raises(ConfigError, match="is no number from 0 to 64"):
            supernode.run_supernode([f"--resident-workers={given}", "--insecure"])
    assert len(started.commands) == 3


def test_isolation_is_not_for_the_user_to_choose() -> None:
    with pytest.raises(ConfigError, match="chooses --isolation itself"):
        supernode.run_supernode(["--isolation", "subprocess"])


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_secret_is_made_that_only_we_can_read_and_that_ends(umask: int, started: Started) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):
            assert supernode.run_supernode(["--insecure"]) == 0
    finally:
        os.umask(before)
    (_, first), (_, second) = started.served
    assert len(first) == len(second) == 32
    assert first != second
    assert started.secret_mode & 0o077 == 0
    assert not started.secret_file.exists()
    assert started.commands[0][-2] == "--superexec-auth-secret-file"


def test_a_secret_of_the_owner_is_used_and_kept(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"mine\n")
    assert supernode.run_supernode(["--superexec-auth-secret-file", str(file)]) == 0
    assert started.served[0][1] == b"mine\n"
    assert file.read_bytes() == b"mine\n"


def test_a_secret_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be read"):
        supernode.run_supernode(["--superexec-auth-secret-file", str(tmp_path / "nowhere")])
    (tmp_path / "empty").touch()
    with pytest.raises(ConfigError, match="empty is empty"):
        supernode.run_supernode(["--superexec-auth-secret-file", str(tmp_path / "empty")])


def test_the_directory_of_the_start_is_not_on_the_path(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("")
    assert supernode.run_supernode(["--insecure"]) == 0
    assert "" not in sys.path
    command = started.commands[0]
    assert command[1] == "-P"  # without it, `python -c` has the directory first on sys.path
    assert command[2] == "-c"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("flower_dgan.client_app", "is no import path"),
        ("no_such_package:app", "there is no module no_such_package here"),
        ("flower_dgan.client_app:ap", "Did you mean 'app'"),
        ("flower_dgan.server_app:app", "of type ServerApp: a flwr.clientapp.ClientApp is wanted"),
    ],
)
def test_an_app_of_the_owners_must_be_one(path: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_client_app(path)


def test_the_app_of_the_owner_is_loaded(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(supernode, "load_client_app", loaded.append)
    supernode.run_supernode(["--client-app", "own.client:app", "--insecure"])
    supernode.run_supernode(["--insecure"])
    assert loaded == ["own.client:app", "flower_dgan.client_app:app"]
    assert "own.client:app" not in started.commands[0]
    with pytest.raises(ConfigError, match=r"--client-app=own client is no import path"):
        supernode.run_supernode(["--client-app", "own client"])
    assert len(started.commands) == 2


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_shows_our_options_and_starts_nothing(option: str, started: Started) -> None:
    result = CliRunner().invoke(app, ["supernode", "--insecure", option])
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    assert "--allow-bundle-code" in shown
    assert "run any code here" in shown
    assert "those of flower-supernode, which `flower-supernode --help` lists" in shown
    assert (started.commands, started.plain, started.served) == ([], [], [])


@pytest.mark.parametrize(
    ("options", "address", "certificate"),
    [
        ([], "127.0.0.1:9094", None),
        (["--host", "0.0.0.0", "--port=9100"], "127.0.0.1:9100", None),
        (["--host", "::1"], "[::1]:9094", None),
        (["--ssl-ca-certfile", "~/ca.pem"], "127.0.0.1:9094", b"owner"),
        (["--appio-ssl-ca-certfile=~/ca.pem"], "127.0.0.1:9094", b"owner"),
        (["--ssl-ca", "~/ca.pem", "--ssl-certfile", "/a", "--superlink", "host:1"], "127.0.0.1:9094", b"owner"),
    ],
)
def test_the_executor_reads_the_options_as_the_supernode_does(
    options: list[str],
    address: str,
    certificate: bytes | None,
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "ca.pem").write_bytes(b"owner")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert supernode.run_supernode(options) == 0
    assert [runtime for runtime, _ in started.served] == [RuntimeApi(address, certificate)]
    assert started.commands[0][4:-2] == [*options, "--isolation", "process"]


def test_a_certificate_that_cannot_be_read(started: Started, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"The certificate .+nowhere cannot be read"):
        supernode.run_supernode(["--ssl-ca-certfile", str(tmp_path / "nowhere")])


def test_a_supernode_that_ends_while_the_app_is_imported_ends_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signal is raised amid the imports of a library that catches everything, as some do."""
    monkeypatch.setattr(supernode, "_SUPERNODE", "import time, sys; time.sleep(0.3); sys.exit(23)")
    caught = []

    def load(path: str) -> object:
        try:
            while True:
                time.sleep(0.05)
        except BaseException as error:
            caught.append(type(error))
        return object()

    def serve(*_: object) -> None:
        pytest.fail("the node waits for a SuperNode that is gone")

    monkeypatch.setattr(supernode, "load_client_app", load)
    monkeypatch.setattr(supernode, "_serve", serve)
    assert supernode.run_supernode(["--insecure"]) == 23
    assert caught == [SystemExit]
