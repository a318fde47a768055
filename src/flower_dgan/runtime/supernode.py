"""A SuperNode with warm clients: ``flower-supernode`` and, beside it, a process that has torch imported and forks."""

import argparse
import importlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from flower_dgan.errors import ConfigError
from flower_dgan.runtime.flower_internals import reason_against_warm_clients, run_forking_superexec, runtime_address

logger = logging.getLogger("flwr")

_SUPERNODE = "from flower_dgan.runtime.flower_internals import run_fast_supernode as run; run()"
_DEFAULT_PORT = "9094"
_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0


def run_supernode(arguments: Sequence[str]) -> int:
    """Run a SuperNode until it ends or this process is told to end; return its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Options of ``flower-supernode``. Where warm clients are not possible it runs as it is, and a line says why.

    Raises
    ------
    ConfigError
        If the options choose the isolation, or name a secret that cannot be read.
    """
    options = _read_options(arguments)
    reason = reason_against_warm_clients()
    if options.allow_runtime_dependency_installation:
        reason = "--allow-runtime-dependency-installation wants a new environment for each run"
    if reason is not None:
        logger.warning("Without warm clients, so that every message imports torch anew: %s.", reason)
        return subprocess.run([Path(sys.executable).parent / "flower-supernode", *arguments], check=False).returncode
    secret = _read_secret(options.superexec_auth_secret_file)
    os.environ.setdefault("FLWR_SUPEREXEC_TASK_POLL_INTERVAL", str(_POLL_SECONDS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # Flower takes over when it is up
    supernode = subprocess.Popen([sys.executable, "-c", _SUPERNODE, *arguments, "--isolation", "process"])

    def end_with_the_supernode(*_: object) -> None:
        if supernode.poll() is not None:
            raise SystemExit(supernode.returncode)

    # A signal, and not a look now and then: Flower's loop may be waiting for a connection to the SuperNode.
    signal.signal(signal.SIGCHLD, end_with_the_supernode)
    try:
        end_with_the_supernode()
        _import_everything()
        run_forking_superexec(runtime_address(options.host, options.port), options.ssl_ca_certfile, secret)
    except SystemExit as end:
        return supernode.returncode if supernode.returncode is not None else int(end.code or 0)
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _end(supernode)
    return 0


def _read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read those options of ``flower-supernode`` that its executor must know too, with all names that they go by."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=_DEFAULT_PORT)
    parser.add_argument("--ssl-ca-certfile", "--appio-ssl-ca-certfile", type=os.path.expanduser)
    parser.add_argument("--superexec-auth-secret-file")
    parser.add_argument("--isolation")
    parser.add_argument("--allow-runtime-dependency-installation", action="store_true")
    options, _ = parser.parse_known_args(arguments)
    if options.isolation is not None:
        raise ConfigError("`flower-dgan supernode` chooses --isolation itself: leave it away.")
    return options


def _read_secret(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"The secret {path} cannot be read: {error}.") from error


def _import_everything() -> None:
    """Import what a ClientApp of this package needs. No torch operation runs, so that no thread is there to fork."""
    importlib.import_module("flower_dgan.client_app")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
