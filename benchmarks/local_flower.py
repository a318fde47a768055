"""A SuperLink of our own, simulated or deployed, for checks and benchmarks: it does not meet the user's, and ends."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flower_dgan.errors import FederationError

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0

_APP = """
[project]
name = "flower-dgan-check"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "flower-dgan"

[tool.flwr.app.components]
serverapp = "{server_app}"
clientapp = "{client_app}"

[tool.flwr.app.config]
overrides = ""
"""

_CONNECTION = """
[superlink]
default = "local"

[superlink.local]
address = "{address}"
{security}
"""


@dataclass(frozen=True)
class LocalFlower:
    """A running SuperLink.

    Attributes
    ----------
    environment : mapping of str to str
        Environment in which ``flwr`` finds it.
    log : Path
        The SuperLink's output; those of SuperNodes are beside it.
    address : str
        Its ``host:port``.
    """

    environment: Mapping[str, str]
    log: Path
    address: str

    def run(self, app: Path, overrides: str, *, timeout: float) -> str:
        """Run an app to its end and return its log.

        Raises
        ------
        FederationError
            If ``flwr run`` fails or is not done within ``timeout`` seconds; with the end of the log.
        """
        quoted = overrides.replace("\\", "\\\\").replace('"', '\\"')
        return self.flwr(["run", str(app), "local", "--stream", "--run-config", f'overrides="{quoted}"'], timeout)

    def flwr(self, arguments: Sequence[str], timeout: float) -> str:
        """Run ``flwr``, which knows this SuperLink as ``local``, and return its output.

        Raises
        ------
        FederationError
            If it fails or is not done within ``timeout`` seconds; with the end of its output.
        """
        command = [str(_executable("flwr")), *arguments]
        try:
            done = subprocess.run(
                command, env=dict(self.environment), capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            output = b"".join(part for part in (error.stdout, error.stderr) if isinstance(part, bytes)).decode()
            raise FederationError(
                f"`{' '.join(command)}` was not done after {timeout:.0f} s:\n{output[-4000:]}\n{self._logs()}"
            ) from error
        if done.returncode:
            raise FederationError(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return done.stdout

    def _logs(self) -> str:
        """Return the end of what the SuperLink and each SuperNode wrote."""
        files = sorted(self.log.parent.glob("*.txt"))
        return "\n".join(f"{file.name}:\n{file.read_text(errors='replace')[-4000:]}" for file in files)


@contextmanager
def local_flower(nodes: int, *, cpus_per_node: int = 1) -> Iterator[LocalFlower]:
    """Start a SuperLink in simulation mode on free ports and with a home of its own; end it and all its children.

    Parameters
    ----------
    nodes : int
        Simulated SuperNodes.
    cpus_per_node : int
        CPUs that Ray reserves for each.
    """
    with superlink("--simulation") as flower:
        settings = ["--num-supernodes", str(nodes), "--client-resources-num-cpus", str(cpus_per_node)]
        flower.flwr(["federation", "simulation-config", "@none/default", "local", *settings], _START_SECONDS)
        yield flower


@contextmanager
def deployed_flower(
    node_configs: Sequence[str], *, options: Sequence[str] = (), warm: bool = True
) -> Iterator[LocalFlower]:
    """Start a SuperLink and SuperNodes as processes of their own on loopback, without TLS; end them and their children.

    Parameters
    ----------
    node_configs : sequence of str
        ``--node-config`` of each SuperNode.
    options : sequence of str
        Further options of all SuperNodes.
    warm : bool
        ``flower-dgan supernode``; otherwise Flower's own ``flower-supernode``.
    """
    with superlink() as flower, ExitStack() as nodes:
        for number, node_config in enumerate(node_configs):
            given = ["--insecure", "--node-config", node_config, *options]
            nodes.enter_context(supernode(flower, f"supernode-{number}", *given, warm=warm))
        yield flower


@contextmanager
def superlink(*options: str, authority: Path | None = None) -> Iterator[LocalFlower]:
    """Start a SuperLink on a free port of 127.0.0.1 and with a home of its own; end it and all its children.

    Parameters
    ----------
    *options : str
        Further options of ``flower-superlink``.
    authority : Path or None
        Certificate of the authority that the SuperLink's certificate, named in ``options`` and valid for 127.0.0.1, is
        checked against. None starts it without TLS.
    """
    with tempfile.TemporaryDirectory(prefix="flower-dgan-", ignore_cleanup_errors=True) as home:
        port, control = _free_port(), _free_port()
        address = f"127.0.0.1:{port}"
        environment = os.environ | {
            "FLWR_HOME": home,
            "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(port),
            "FLWR_LOCAL_CONTROL_API_PORT": str(control),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "PATH": f"{_executable('flwr').parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        security = "insecure = true" if authority is None else f'root-certificates = "{authority}"'
        (Path(home) / "config.toml").write_text(_CONNECTION.format(address=address, security=security))
        log = Path(home) / "superlink.txt"
        command = [str(_executable("flower-superlink")), *options, *(["--insecure"] if authority is None else [])]
        command += ["--isolation", "subprocess", "--control-api-address", f"127.0.0.1:{control}"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        with _running(command, environment, log) as process:
            _wait_until_healthy(address, authority, process, log)
            yield LocalFlower(environment, log, address)


@contextmanager
def supernode(flower: LocalFlower, name: str, *options: str, warm: bool = True) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a SuperNode of a SuperLink; end it and its children.

    Parameters
    ----------
    flower : LocalFlower
        The SuperLink.
    name : str
        Its output is written to ``<name>.txt`` beside that of the SuperLink.
    *options : str
        Options of ``flower-supernode``, but address and port.
    warm : bool
        ``flower-dgan supernode``; otherwise Flower's own ``flower-supernode``.
    """
    command = [str(_executable("flower-dgan")), "supernode"] if warm else [str(_executable("flower-supernode"))]
    command += [*options, "--superlink", flower.address, "--port", str(_free_port())]
    with _running(command, flower.environment, flower.log.with_name(f"{name}.txt")) as process:
        yield process


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command in a session of its own, and end the whole session."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def write_app(
    directory: Path,
    server_app: str = "flower_dgan.server_app:app",
    client_app: str = "flower_dgan.client_app:app",
) -> Path:
    """Write an app directory that runs the installed package, or apps that are put there, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(
        _APP.format(server_app=server_app, client_app=client_app), encoding="utf-8"
    )
    return directory


def _executable(name: str) -> Path:
    return Path(sys.executable).parent / name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(address: str, authority: Path | None, process: "subprocess.Popen[bytes]", log: Path) -> None:
    context = None if authority is None else ssl.create_default_context(cafile=authority)
    url = f"{'http' if authority is None else 'https'}://{address}/health"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1, context=context):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise FederationError(f"The SuperLink did not start:\n{log.read_text()[-2000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its whole session."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(_STOP_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
