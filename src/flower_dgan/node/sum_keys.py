"""Keys of a node for sums that no server reads alone: one a sum, used for one list of sites and one vector, then gone.

They are in the owner's book: a training that is left and joined anew, a restart or another server meets the same key,
and what was sent behind its masks. Two vectors behind the same masks would tell their difference.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from sqlite3 import Connection

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ProtocolError
from flower_dgan.node.book import Book
from flower_dgan.node.privacy_book import charge_release, released
from flower_dgan.privacy.masks import public_key
from flower_dgan.wire.protocol import Training


def purpose_of(training: Training, config: TrainingConfig) -> bytes:
    """Return what names a sum: a training, and the settings that choose images, read them, add them up and add noise.

    A key that was offered for one sum is none for another, and nodes that were told of other settings have another.
    """
    asked = [training.identity, asdict(config.data), asdict(config.algorithm)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def key_for(book: Book, purpose: bytes, node: str) -> bytes:
    """Return the public key of a node for a sum, the same whenever it is asked; raises StorageError."""
    with book.changing() as rows:
        read = "SELECT public FROM sum_keys WHERE purpose = ? AND node = ?"
        if (found := rows.execute(read, (purpose, node)).fetchone()) is not None:
            return bytes(found[0])
        private = X25519PrivateKey.generate().private_bytes_raw()
        public = public_key(private)
        rows.execute("INSERT INTO sum_keys VALUES (?, ?, ?, ?, NULL)", (purpose, node, public, private))
    return public


def sent_before(book: Book, purpose: bytes, node: str, roster: bytes, request: bytes) -> bytes | None:
    """Return what a node sent for a list of sites; None if it may send it yet; raises as :func:`release_masked`."""
    with book.changing() as rows:
        return _key_or_sent(rows, purpose, node, roster, request)[1]


def release_masked(
    book: Book,
    purpose: bytes,
    node: str,
    roster: bytes,
    request: bytes,
    mu: float,
    check: Callable[..., None],
    make: Callable[[bytes], bytes],
) -> bytes:
    """Return what a node sends behind masks: what it sent the first time, or what is made now.

    What is made is charged for and kept, and the key is deleted, or none of it.

    Parameters
    ----------
    book : Book
        The owner's.
    purpose, node
        As for :func:`key_for`.
    roster : bytes
        Digest of all that take part, and of their keys.
    request : bytes
        Names what is released, for the book.
    mu, check
        As for :func:`~flower_dgan.node.privacy_book.release`.
    make : callable
        Makes it, of the private key.

    Raises
    ------
    ProtocolError
        If no key was offered for the sum, or it was used with another list of sites.
    StorageError
        If the book cannot be read or written.
    """
    with book.changing() as rows:
        rows.execute("PRAGMA secure_delete = ON")  # zeros where the key was
        private, sent = _key_or_sent(rows, purpose, node, roster, request)
        if sent is None:
            sent = charge_release(rows, request, mu, check, lambda: make(private))
            use = "UPDATE sum_keys SET private = NULL, roster = ? WHERE purpose = ? AND node = ?"
            rows.execute(use, (roster, purpose, node))
    return sent


def _key_or_sent(
    rows: Connection, purpose: bytes, node: str, roster: bytes, request: bytes
) -> tuple[bytes, bytes | None]:
    """Return the private key, or nothing and what was sent with it."""
    read = "SELECT private, roster FROM sum_keys WHERE purpose = ? AND node = ?"
    found = rows.execute(read, (purpose, node)).fetchone()
    if found is None:
        raise ProtocolError("a sum for which this node has offered no key")
    private, used = found
    if private is not None:
        return bytes(private), None
    if bytes(used) != roster or (sent := released(rows, request)) is None:
        raise ProtocolError("another list of sites than the one for which this node has sent its vector")
    return b"", sent
