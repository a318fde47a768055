"""What a node can reach of its SuperLink, with the files that it would connect with."""

import base64
import hashlib
import http.client
import os
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from flower_dgan.errors import ConfigError, FederationError

MOST_CLOCK_SECONDS = 300.0
"""How far a node's clock may be from the SuperLink's: beyond that signed requests are refused."""
_SECONDS = 15.0
_NODES_PATH = "/v1/fleet/"  # what a SuperNode calls, and all that a proxy need let through
_RENEW_DAYS = 30


def read_certificates(path: Path) -> ssl.SSLContext:
    """Return what trusts the authority of a file alone; raises ConfigError if it holds no certificate."""
    try:
        return ssl.create_default_context(cafile=str(path.expanduser()))
    except (OSError, ValueError) as error:  # of ssl too
        raise ConfigError(
            f"The certificates {path} cannot be read: {error}. Ask the server's operator anew."
        ) from error


def fingerprint(path: Path) -> str:
    """Return the fingerprint of a SuperNode's private key's public half, as ``ssh-keygen -lf`` prints it.

    Raises
    ------
    ConfigError
        If the file is open to other users, or holds no key that Flower takes.
    """
    path = path.expanduser()
    try:
        if (mode := path.stat().st_mode & 0o777) & 0o077:
            raise ConfigError(f"The key {path} is open to other users (mode {mode:o}): chmod 600 {path}")
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"The key {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"The key {path} is none in OpenSSH's format without a passphrase: {error}.") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ConfigError(f"The key {path} is on no NIST curve: make one by ssh-keygen -t ecdsa -b 384.")
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def reach(address: str, context: ssl.SSLContext | None, now: Callable[[], float] = time.time) -> list[str]:
    """Connect as a SuperNode would, and return what was learnt, a sentence each.

    Parameters
    ----------
    address : str
        ``<host>:<port>`` of the SuperLink.
    context : SSLContext or None
        See :func:`read_certificates`; None for a connection without TLS.
    now : callable
        This machine's clock.

    Raises
    ------
    ConfigError
        If the address is none.
    FederationError
        If it cannot be reached, shows a certificate of another authority or for another name, or has another clock.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigError(f"--superlink {address} is no address: write <host>:<port>, such as server.example.org:8000.")
    host = host.strip("[]")
    line = (
        http.client.HTTPConnection(host, int(port), timeout=_SECONDS)
        if context is None
        else http.client.HTTPSConnection(host, int(port), timeout=_SECONDS, context=context)
    )
    try:
        begin = time.monotonic()
        line.request("GET", _NODES_PATH)
        taken = time.monotonic() - begin
        certificate = line.sock.getpeercert() if isinstance(line.sock, ssl.SSLSocket) else None
        date = line.getresponse().getheader("date")
    except ssl.SSLCertVerificationError as error:
        raise FederationError(
            f"{address} shows a certificate that is not to be trusted: {error.verify_message.rstrip('.')}. Either the "
            "server, its name, this machine's clock or the file of --root-certificates is not the one that was meant."
        ) from error
    except ssl.SSLError as error:
        raise FederationError(f"{address} does not speak TLS as it should: {error.reason or error}.") from error
    except socket.gaierror as error:
        raise FederationError(f"There is no host {host}: {error.strerror}.") from error
    except (OSError, http.client.HTTPException) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error) or "no answer"
        raise FederationError(
            f"{address} cannot be reached: {reason}. Is the SuperLink up, and may this machine connect to that port?"
        ) from error
    finally:
        line.close()
    said = [f"{address} answers {'with' if context else 'WITHOUT'} TLS, after {taken * 1000:.0f} ms"]
    if certificate:
        days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - now()) / 86_400
        said.append(f"its certificate ends in {days:.0f} days{': ask for a new one' if days < _RENEW_DAYS else ''}")
    return [*said, _clock(date, now())]


def _clock(date: str | None, now: float) -> str:
    if date is None:
        return "it does not tell its time"
    try:
        apart = now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return "it does not tell its time"
    if abs(apart) > MOST_CLOCK_SECONDS:
        raise FederationError(
            f"This machine's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the SuperLink's, "
            f"which refuses what is signed more than {MOST_CLOCK_SECONDS:.0f} s apart: let a time server set both."
        )
    return f"the clocks are {abs(apart):.0f} s apart, which may be {MOST_CLOCK_SECONDS:.0f}"
