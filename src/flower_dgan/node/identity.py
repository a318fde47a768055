"""The key by which other owners know a node: a file of its owner's, whose public half is in their policies."""

from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from platformdirs import user_state_path

from flower_dgan.node.secret import make_secret, read_secret
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.privacy.masks import public_identity


def identity_path(node_config: NodeConfig) -> Path:
    """Return the file: ``identity-file="/etc/dgan/identity"`` names it, or it is in the user's state directory.

    All nodes of a user have the same without a word, and are then one site: of two, a sum has one.
    """
    if "identity-file" in node_config:
        return Path(str(node_config["identity-file"])).expanduser()
    return user_state_path("flower-dgan") / "identity"


def identity_in(path: Path) -> bytes:
    """Return the private identity in a file, 32 bytes, which is made where it is missing.

    Raises
    ------
    ConfigError
        If the file cannot be read or made, is open to other users, or is too short or too long.
    """
    make_secret(path)
    return HKDF(SHA256(), 32, salt=None, info=b"flower-dgan identity 1").derive(read_secret(path))


def public_identity_in(path: Path) -> str:
    """Return what others put into their policies, 64 hexadecimal digits; raises as :func:`identity_in`."""
    return public_identity(identity_in(path)).hex()
