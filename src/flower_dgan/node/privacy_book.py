"""What was spent of each patient's privacy, in the owner's book: it only grows, whatever is renamed, moved or deleted.

A patient is known by the hash of each image that is there, and by what the node's owner calls the patient. What was
spent is that of whichever of these has spent most: so new names do not reset it, nor do images that are taken away,
added or changed, as long as one of all these is as it was. Each of them is charged for the patient as a whole.

What is released is kept, in the same step as it is charged for: asked for once more, it is given again, byte for byte,
and costs nothing.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

import numpy as np
from numpy.typing import NDArray

from flower_dgan.node.book import Book


@dataclass(frozen=True)
class Patient:
    """One whose privacy is counted as a whole.

    Attributes
    ----------
    images : tuple of int
        Which of the node's images are the patient's, from 0 and ascending.
    subjects : frozenset of bytes
        What the patient is known by in the book.
    """

    images: tuple[int, ...]
    subjects: frozenset[bytes]


def patients_of(images: NDArray[np.uint8], groups: Sequence[str], node: str) -> tuple[Patient, ...]:
    """Return the patients of a node, in the order of their first images.

    Two that share an image, pixel by pixel, are one: a file that was copied under another name adds nobody, and who is
    in a sum twice would change it twice as much.

    Parameters
    ----------
    images : uint8 array (images, 32)
        Hashes of their pixels.
    groups : sequence of str
        Whose each image is.
    node : str
        What its owner calls the node: at another one the same name may be another patient's.
    """
    subjects = [(_name(node, group), image.tobytes()) for group, image in zip(groups, images, strict=True)]
    found: dict[bytes, tuple[list[int], set[bytes]]] = {}
    for index, pair in enumerate(subjects):
        same = list({id(found[each]): found[each] for each in pair if each in found}.values())
        of = sorted([index, *(image for some, _ in same for image in some)])
        merged = (of, set(pair).union(*(known for _, known in same)))
        found |= dict.fromkeys(merged[1], merged)
    one_each = {id(each): each for each in found.values()}.values()
    return tuple(Patient(tuple(of), frozenset(known)) for of, known in sorted(one_each, key=lambda each: each[0]))


def release(
    book: Book,
    request: bytes,
    patients: Sequence[Patient],
    mu: float,
    check: Callable[[float], None],
    make: Callable[[], bytes],
) -> bytes:
    """Return what is released on a request: what was the first time, or, charged for, what is made now.

    Both happen, or neither: what was made and could not be kept does not leave.

    Parameters
    ----------
    book : Book
        The owner's.
    request : bytes
        Names what is asked for, the data that it is about included.
    patients : sequence of Patient
        Whom it is about.
    mu : float
        What the release costs each, see :mod:`flower_dgan.privacy.gaussian_mechanism`; above 0.
    check : callable
        Called with the mu of all releases together, this one included, of the patient who has spent most; raises where
        that is too much.
    make : callable
        Makes it, with noise that nobody has seen.

    Raises
    ------
    StorageError
        If the book cannot be read or written.
    ValueError
        If mu is not above 0: what has no noise is no release.
    """
    if not mu > 0:
        raise ValueError(f"a release of mu {mu}")
    with book.changing() as rows:
        found = rows.execute("SELECT answer FROM released WHERE request = ?", (request,)).fetchone()
        if found is not None:
            return bytes(found[0])
        spent = [_squares(rows, patient) + mu**2 for patient in patients]
        check(math.sqrt(max(spent, default=0.0)))
        answer = make()
        for patient, squares in zip(patients, spent, strict=True):
            rows.executemany(
                "INSERT INTO spent VALUES (?, ?, 1) ON CONFLICT (subject) DO UPDATE "
                "SET squares = MAX(squares, excluded.squares), releases = releases + 1",
                [(subject, squares) for subject in patient.subjects],
            )
        rows.execute("INSERT INTO released VALUES (?, ?)", (request, answer))
    return answer


def most_spent(book: Book, patients: Sequence[Patient]) -> float:
    """Return the mu of all releases together of the patient who has spent most, 0 for none; raises StorageError."""
    with book.changing() as rows:
        return math.sqrt(max((_squares(rows, patient) for patient in patients), default=0.0))


def _squares(rows: Connection, patient: Patient) -> float:
    read = "SELECT squares FROM spent WHERE subject = ?"
    found = [rows.execute(read, (subject,)).fetchone() for subject in patient.subjects]
    return max((float(each[0]) for each in found if each is not None), default=0.0)


def _name(node: str, group: str) -> bytes:
    parts = (b"flower-dgan patient", node.encode("utf-8", "surrogateescape"), group.encode("utf-8", "surrogateescape"))
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
