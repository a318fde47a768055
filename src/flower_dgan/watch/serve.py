"""Starts the page's server, and says where the page is."""

import ipaddress
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from flower_dgan.errors import ConfigError
from flower_dgan.printable import printable
from flower_dgan.watch.gate import Gate

_SHORTEST_TOKEN = 24
_ALL = ("0.0.0.0", "::")  # addresses of this machine


@dataclass(frozen=True)
class Door:
    """Where the server listens.

    Attributes
    ----------
    address : str
        An address of this machine.
    port : int
        0 for any free one.
    token_file : Path or None
        A file with the token, which an address other than this machine's own needs; a random one if None.
    certificate, key : Path or None
        TLS files in PEM, which such an address needs too.
    """

    address: str = "127.0.0.1"
    port: int = 0
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.address == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False

    def check(self) -> None:
        """Raise ConfigError if others could reach the server without a token of its owner's and without TLS."""
        if not self.is_local and None in (self.token_file, self.certificate, self.key):
            raise ConfigError(
                f"{printable(self.address)} can be reached from other machines: give --token-file, --certificate and "
                "--key too, or leave --address away and go over ssh (docs/watch.md)."
            )
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("--certificate and --key belong together: give both.")

    def token(self) -> str:
        """Return the token; raises ConfigError if the file holds none, or one that could be guessed."""
        if self.token_file is None:
            return secrets.token_urlsafe(32)
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
            mode = self.token_file.stat().st_mode
        except (OSError, ValueError) as error:
            raise ConfigError(f"The token in {self.token_file} cannot be read: {error}.") from error
        if mode & 0o077:
            raise ConfigError(f"Others may read {self.token_file}: `chmod 600` it, and write another token into it.")
        if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
            raise ConfigError(
                f"The token in {self.token_file} is too short: at least {_SHORTEST_TOKEN} letters, as `openssl rand "
                "-hex 24` prints."
            )
        return token


def serve(app: FastAPI, door: Door, say: Callable[[str], None]) -> None:
    """Serve the page until the process is ended.

    Parameters
    ----------
    app : FastAPI
        What is served.
    door : Door
        Where.
    say : callable
        Is told the address, and over ssh what to type at home.
    """
    door.check()
    token = door.token()
    family = socket.AF_INET6 if ":" in door.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((door.address, door.port))
        except OSError as error:
            raise ConfigError(
                f"{printable(door.address)}:{door.port} cannot be opened: {error.strerror or error}. Give another "
                "--port, or 0 for any."
            ) from error
        port = listening.getsockname()[1]
        hosts = names(door, port)
        scheme = "http" if door.certificate is None else "https"
        say(f"{scheme}://{hosts[0]}/#{token}")
        if door.is_local and "SSH_CONNECTION" in os.environ:
            say(f"From your own machine: ssh -N -L {port}:{hosts[0]} {printable(ssh_target(os.environ))}")
            say("then open the address above there.")
        settings = uvicorn.Config(
            Gate(app, token, hosts),
            log_level="warning",
            access_log=False,  # addresses would have no token in them, but names of runs
            server_header=False,
            date_header=False,
            ssl_certfile=door.certificate,
            ssl_keyfile=door.key,
            timeout_graceful_shutdown=1,
            limit_concurrency=128,
            h11_max_incomplete_event_size=16_384,
        )
        uvicorn.Server(settings).run(sockets=[listening])


def names(door: Door, port: int) -> list[str]:
    """Return the hosts under which the server may be asked for, with their port; the first is the one to print.

    Browsers leave the port away where it is the usual one of HTTP or TLS.
    """
    address = f"[{door.address}]" if ":" in door.address else door.address
    if door.is_local:
        found = [address, "localhost"]
    elif door.address in _ALL:  # which can be listened on, and not gone to
        found = [socket.getfqdn(), socket.gethostname(), "localhost", "127.0.0.1", address]
    else:
        found = [address, socket.getfqdn(), socket.gethostname()]
    bare = found if port == (80 if door.certificate is None else 443) else []
    return [*(f"{name}:{port}" for name in dict.fromkeys(found)), *bare]


def ssh_target(environment: "os._Environ[str] | dict[str, str]") -> str:
    """Return ``user@address`` of this machine as the ssh connection that started the shell reached it."""
    here = environment.get("SSH_CONNECTION", "").split()
    return f"{environment.get('USER', 'user')}@{here[2] if len(here) > 2 else socket.gethostname()}"
