"""Masks that hide the vector of each site and cancel in the sum of all of them.

Each site has an identity, an Ed25519 key whose public half the owners of the others pin, and for each sum a key of its
own, of X25519, whose public half it signs. Each two sites agree on a secret that nobody else has, and draw from it as
many numbers modulo 2^64 as a vector has: one of the two adds them, the other subtracts them (Bonawitz et al. 2017,
"Practical Secure Aggregation for Privacy-Preserving Machine Learning", section 4, without the recovery of those that
are missing: their shares of keys would be what a dishonest server asks for). Whoever lacks the secrets of a site sees
vectors that are uniform but for their sum.

The secret of a pair is HKDF-SHA256 of what the keys agree on, with the digest of all offers as salt: sites that were
told of different lists have masks that do not cancel. Numbers are the keystream of AES-256 in counter mode.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

KEY_BYTES, SIGNATURE_BYTES = 32, 64

_SIGNED, _DRAWN = b"flower-dgan key of a sum 1", b"flower-dgan mask of two sites 1"


def public_identity(identity: bytes) -> bytes:
    """Return the public half of an identity, 32 bytes for 32."""
    return Ed25519PrivateKey.from_private_bytes(identity).public_key().public_bytes_raw()


def public_key(private: bytes) -> bytes:
    """Return the public half of the key for a sum, 32 bytes for 32."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(identity: bytes, purpose: bytes, key: bytes) -> bytes:
    """Return the signature on the public key for a sum: it holds for that sum, which ``purpose`` names, alone."""
    return Ed25519PrivateKey.from_private_bytes(identity).sign(_said(purpose, key))


def is_signed(identity: bytes, purpose: bytes, key: bytes, signature: bytes) -> bool:
    """Return whether whoever has the private half of an identity offered a key for a sum."""
    try:
        Ed25519PublicKey.from_public_bytes(identity).verify(signature, _said(purpose, key))
    except (InvalidSignature, ValueError):
        return False
    return True


def digest_of(purpose: bytes, keys: Mapping[bytes, bytes]) -> bytes:
    """Return what names a sum and all that take part: public keys by public identities."""
    parts = [purpose, *(part for identity in sorted(keys) for part in (identity, keys[identity]))]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def mask(private: bytes, own: bytes, keys: Mapping[bytes, bytes], digest: bytes, numbers: int) -> NDArray[np.uint64]:
    """Return what a site adds to its vector, modulo 2^64; over all sites of the digest it sums to 0.

    Parameters
    ----------
    private : bytes
        The site's key for the sum.
    own : bytes
        Its public identity.
    keys : mapping of bytes to bytes
        Public keys of all sites by their identities, its own among them.
    digest : bytes
        That of :func:`digest_of`.
    numbers : int
        Of a vector.

    Raises
    ------
    ValueError
        If a public key is none that anybody can agree with.
    """
    total = np.zeros(numbers, np.uint64)
    for identity, key in keys.items():
        if identity == own:
            continue
        first, second = sorted((own, identity))
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(key))
        secret = HKDF(SHA256(), 32, salt=digest, info=_DRAWN + first + second).derive(shared)
        drawn = _keystream(secret, numbers)
        total = total + drawn if own == first else total - drawn
    return total


def add_up(masked: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """Return the sum modulo 2^64 of the masked vectors of all sites, as numbers from -2^63."""
    total = np.zeros_like(masked[0])
    for each in masked:
        total = total + each
    return total.view(np.int64)


def _keystream(key: bytes, numbers: int) -> NDArray[np.uint64]:
    # A key draws one mask and no other, so that the counter may begin at 0.
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * numbers))
    return np.frombuffer(stream, "<u8").astype(np.uint64)


def _said(purpose: bytes, key: bytes) -> bytes:
    return _SIGNED + len(purpose).to_bytes(8, "big") + purpose + key
