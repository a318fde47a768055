"""What a node's own draws follow from: a file of its owner's that no server ever learns anything of."""

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from flower_dgan.errors import ConfigError
from flower_dgan.names import file_stem
from flower_dgan.node.simulation import NodeConfig, in_simulation
from flower_dgan.node.writable import cannot_keep
from flower_dgan.private import private_directory

FEWEST_BYTES, MOST_BYTES = 32, 4096


def secret_path(node_config: NodeConfig, node: str) -> Path | None:
    """Return the file of a node's secret, None for a node that needs none.

    Parameters
    ----------
    node_config : mapping
        The owner's; ``secret-file="/etc/dgan/secret"`` names the file.
    node : str
        What the node is called by its owner: each of one machine has a secret of its own.

    Returns
    -------
    Path or None
        The named file, or one in the user's state directory. A simulated node has none, and neither has one that holds
        the embedded digits, of which everybody has a copy.
    """
    if "secret-file" in node_config:
        return Path(str(node_config["secret-file"])).expanduser()
    if in_simulation(node_config) or "data-path" not in node_config:
        return None
    return user_state_path("flower-dgan") / "secrets" / file_stem(node)


def secret_of(node_config: NodeConfig, node: str, name: str, seed: int, repeat: int = 0) -> int:
    """Return the number that a node's own draws in a training follow from.

    Parameters
    ----------
    node_config, node
        As of :func:`secret_path`. Where nothing is named, the file is made on first use.
    name : str
        The client's name in the training.
    seed : int
        Seed of the run; the number itself where the node has no secret.
    repeat : int
        How many trainings of that seed began at the node before.

    Raises
    ------
    ConfigError
        If the file cannot be read or made, is open to other users, or is too short or too long.
    """
    path = secret_path(node_config, node)
    if path is None:
        return seed
    if "secret-file" not in node_config:
        make_secret(path)
    return derive_secret(read_secret(path), name, seed, repeat)


def derive_secret(content: bytes, name: str, seed: int, repeat: int = 0) -> int:
    """Return the number that follows from a secret file's bytes for a client of this name in a run of this seed.

    A run that is repeated with its seed draws other pairs, as ``repeat`` is another: a server could otherwise ask about
    the same hidden batch again and again. It is counted by the node, unlike the identity of the training, which would
    hide nothing: the server chooses that as freely as the seed.
    """
    again = (str(repeat).encode(),) if repeat else ()
    parts = (b"flower-dgan draws", str(seed).encode(), name.encode(), content, *again)
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return int.from_bytes(hashlib.sha256(framed).digest(), "big")


def read_secret(path: Path) -> bytes:
    """Return the bytes of a secret file; raises ConfigError as :func:`secret_of`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe is refused rather than waited for
    except OSError as error:
        raise ConfigError(f"This node's secret file {path} cannot be read: {error.strerror}.") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"This node's secret file {path} is no plain file.")
        if mode & 0o077:
            raise ConfigError(
                f"This node's secret file {path} is open to other users (mode {mode & 0o777:o}): chmod 600 {path}, and "
                "write a new secret into it if others may have read it."
            )
        content = os.read(descriptor, MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if not FEWEST_BYTES <= len(content) <= MOST_BYTES:
        some = f"more than {MOST_BYTES}" if len(content) > MOST_BYTES else str(len(content))
        raise ConfigError(
            f"This node's secret file {path} has {some} bytes: it is to hold {FEWEST_BYTES} to {MOST_BYTES} random "
            f"ones, such as of: head -c {FEWEST_BYTES} /dev/urandom"
        )
    return content


def make_secret(path: Path) -> None:
    """Make a secret file that its owner alone can read, unless there is one; of two processes the first makes it."""
    if path.exists():
        return
    partial = path.with_name(f"{path.name}-{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        private_directory(path.parent)
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, 0o600)
            opened.write(secrets.token_bytes(FEWEST_BYTES))
            opened.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(partial, path)
    except OSError as error:
        raise ConfigError(
            f"""{cannot_keep("secret", path, error)}, or name a file with --node-config 'secret-file="<file>"'."""
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
