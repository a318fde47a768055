"""A SuperNode with warm clients: ``flower-supernode`` and, beside it, a process that has torch imported and forks.

Its forks stay from one message of a run to the next, see ``workers.py``.

It executes the ClientApp that the owner of the node installed, and nothing of the bundle that a run brings.
"""

import argparse
import importlib
import inspect
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from flower_dgan.config.import_path import check_import_path
from flower_dgan.errors import ConfigError
from flower_dgan.plugins import load

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp

logger = logging.getLogger("flwr")

TESTED_RELEASES = ("1.41.", "1.42.")
CLIENT_APP = "flower_dgan.client_app:app"
_SUPERNODE = "from flower_dgan.flower.supernode_internals import run_fast_supernode as run; run()"
_INTERNALS = ("flower_dgan.flower.supernode_internals", "flower_dgan.flower.executor_internals")
_TESTED = " and ".join(f"{release}x" for release in TESTED_RELEASES)
_DEFAULT_PORT = "9094"
_STOP_SECONDS = 10.0
_MOST_WORKERS = 64
_DESCRIPTION = f"""Run a SuperNode whose clients have torch imported already. It executes the installed ClientApp and
nothing of the app bundle that a run brings; tasks of other types are refused. All options but those of flower-dgan are
those of flower-supernode, which `flower-supernode --help` lists. Of these, --isolation and
--allow-runtime-dependency-installation are refused, and --superexec-auth-secret-file is made where it is not given.
Tested with flwr {_TESTED}."""


def run_supernode(arguments: Sequence[str]) -> int:
    """Run a SuperNode until it ends or this process is told to end; return its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Our own options (``--help`` prints them), and those of ``flower-supernode``.

    Raises
    ------
    ConfigError
        If an option is refused, names a secret that cannot be read, an app that is none or a port that is taken, or if
        the installed Flower does not let a node keep to the installed ClientApp and ``--allow-bundle-code`` is not
        given.
    """
    parser = _our_options()
    ours, arguments = parser.parse_known_args(arguments)
    most_workers = _count(ours.resident_workers)
    if ours.help:
        sys.stdout.write(parser.format_help())
        return 0
    options = _read_options(arguments)
    check_import_path(ours.client_app, "--client-app")
    if (reason := reason_against_warm_clients()) is not None:
        return _run_plain(arguments, reason, allowed=ours.allow_bundle_code)
    if not version("flwr").startswith(TESTED_RELEASES):
        logger.warning(
            "flower-dgan is tested with flwr %s. This is %s, which has all that is used of it.",
            _TESTED,
            version("flwr"),
        )
    _require_free(options.host, options.port)
    sys.path[:] = [entry for entry in sys.path if entry]  # an empty one is the directory that this is started in
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _secret_file(options.superexec_auth_secret_file) as secret:
        command = [sys.executable, "-P", "-c", _SUPERNODE, *arguments, "--isolation", "process"]
        supernode = subprocess.Popen([*command, "--superexec-auth-secret-file", str(secret)])

        def end_with_the_supernode(*_: object) -> None:
            if supernode.poll() is not None:
                raise SystemExit(supernode.returncode)

        # A signal, and not a look now and then: the loop may be waiting for a connection to the SuperNode.
        signal.signal(signal.SIGCHLD, end_with_the_supernode)
        try:
            client_app = load_client_app(ours.client_app)
            # Also where it ended meanwhile: libraries that are imported with the app may catch what the signal raised.
            end_with_the_supernode()
            _serve(options, secret.read_bytes(), client_app, most_workers)
        except (SystemExit, KeyboardInterrupt) as end:
            if supernode.returncode is not None:
                return supernode.returncode
            return int(end.code or 0) if isinstance(end, SystemExit) else 0
        finally:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _end(supernode)
    return 0


def reason_against_warm_clients() -> str | None:
    """Return why a node cannot keep to its own ClientApp and warm clients with this Flower, None where it can.

    What is used of Flower is looked at, not its version: a release that has all of it will do.
    """
    if not hasattr(os, "fork"):
        return "this system cannot fork a process"
    installed = f"flwr {version('flwr')}"
    for name in _INTERNALS:
        try:
            module = importlib.import_module(name)
            used = module.USED
        except (ImportError, AttributeError) as error:
            return f"{installed} lacks what is used of it: {error}"
        for message, fields in getattr(module, "FIELDS", {}).items():
            if lacking := fields - set(message.DESCRIPTOR.fields_by_name):
                return f"{message.DESCRIPTOR.name} of {installed} has no {', '.join(sorted(lacking))}"
        for function, arguments in used.items():
            if arguments and (lacking := arguments - set(inspect.signature(function).parameters)):
                return f"{function.__qualname__} of {installed} takes no {', '.join(sorted(lacking))}"
    return None


def load_client_app(path: str) -> "ClientApp":
    """Import the ClientApp that answers messages, and what it will need, from the installed packages.

    No torch operation runs, so that no thread is there when this process forks.

    Raises
    ------
    ConfigError
        If there is no such app.
    """
    from flwr.clientapp import ClientApp

    app = load(path, "--client-app")
    if not isinstance(app, ClientApp):
        raise ConfigError(f"--client-app {path} is of type {type(app).__name__}: a flwr.clientapp.ClientApp is wanted.")
    return app


def _our_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flower-dgan supernode",
        usage="flower-dgan supernode [options of flower-dgan] [options of flower-supernode]",
        description=_DESCRIPTION,
        add_help=False,
        allow_abbrev=False,
    )
    ours = parser.add_argument_group("options of flower-dgan")
    ours.add_argument("-h", "--help", action="store_true", help="Print this and start nothing.")
    ours.add_argument(
        "--client-app",
        default=CLIENT_APP,
        metavar="PACKAGE.MODULE:ATTRIBUTE",
        help="An installed ClientApp of your own, in place of flower-dgan's. Its package guards your data then.",
    )
    ours.add_argument(
        "--resident-workers",
        default="2",
        metavar="N",
        help="How many runs, at most, have a process here that stays between their messages, with discriminator, "
        "optimizer and data in memory (default 2; 1 while memory is short). It ends after ten minutes without a "
        "message, and for that of another run. 0 gives each message a process of its own.",
    )
    ours.add_argument(
        "--allow-bundle-code",
        action="store_true",
        help="Where this Flower or this system does not let a node keep to the installed ClientApp, start plain "
        "flower-supernode instead of nothing. Whoever starts a run can then run any code here, as the user of this "
        "SuperNode, and a release policy guards nothing.",
    )
    return parser


def _read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read those options of ``flower-supernode`` that its executor must know too, with all names that they go by."""
    parser = argparse.ArgumentParser(prog="flower-dgan supernode", add_help=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=_DEFAULT_PORT)
    parser.add_argument("--ssl-ca-certfile", "--appio-ssl-ca-certfile")
    parser.add_argument("--superexec-auth-secret-file")
    parser.add_argument("--isolation")
    parser.add_argument("--allow-runtime-dependency-installation", action="store_true")
    options, _ = parser.parse_known_args(arguments)
    if options.isolation is not None:
        raise ConfigError("`flower-dgan supernode` chooses --isolation itself: leave it away.")
    if options.allow_runtime_dependency_installation:
        raise ConfigError(
            "`flower-dgan supernode` installs nothing that a run asks for. Leave "
            "--allow-runtime-dependency-installation away, and install what is needed yourself. Plain "
            "`flower-supernode` takes that option, and executes whatever a run brings."
        )
    return options


def _require_free(host: str, port: str) -> None:
    """Raise ConfigError if another program has the port of the SuperNode's Runtime API, of which Flower says less."""
    try:
        with socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--port {port} is no port: a number from 1 to 65535 is one.") from error
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0]
        raise ConfigError(
            f"The SuperNode's Runtime API cannot listen on {host}, port {port}: {why}. A second SuperNode on one "
            "machine wants a --port of its own."
        ) from error


def _count(given: str) -> int:
    """Read ``--resident-workers``."""
    if not given.isascii() or not given.isdecimal() or int(given) > _MOST_WORKERS:
        raise ConfigError(f"--resident-workers={given} is no number from 0 to {_MOST_WORKERS}.")
    return int(given)


def _run_plain(arguments: Sequence[str], reason: str, *, allowed: bool) -> int:
    """Run Flower's own SuperNode, which executes what a run brings, if the owner allowed that."""
    if not allowed:
        raise ConfigError(
            f"This node cannot keep to the installed ClientApp: {reason}. Install a flwr that it is tested with "
            f"({_TESTED}), or give --allow-bundle-code to start plain `flower-supernode`: whoever starts a run can "
            "then run any code here."
        )
    logger.warning("Plain flower-supernode is started, and whoever starts a run can run any code here: %s.", reason)
    return subprocess.run([Path(sys.executable).parent / "flower-supernode", *arguments], check=False).returncode


@contextmanager
def _secret_file(given: str | None) -> Iterator[Path]:
    """Yield a file with the secret that SuperNode and executor share: the owner's, or a new one that only we can read.

    Without one, any process of the machine could take the node's tasks.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not _read(path, "secret"):
            raise ConfigError(f"The secret {path} is empty.")
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="flower-dgan-secret-") as file:  # mode 600, whatever the umask
        file.write(secrets.token_bytes(32))
        file.flush()
        yield Path(file.name)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The {what} {path} cannot be read: {error}.") from error


def _serve(options: argparse.Namespace, secret: bytes, app: "ClientApp", most_workers: int) -> None:
    """Do the SuperNode's tasks until a signal ends this process."""
    from flower_dgan.flower.executor_internals import RuntimeApi, serve_tasks
    from flower_dgan.flower.supernode_internals import runtime_address

    certificates = None
    if options.ssl_ca_certfile is not None:
        certificates = _read(Path(options.ssl_ca_certfile).expanduser(), "certificate")
    serve_tasks(RuntimeApi(runtime_address(options.host, options.port), certificates), secret, app, most_workers)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
