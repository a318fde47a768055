"""What was spent of patients' privacy, in the owner's book: one account for all that was released, which only grows.

It is the same whatever the images are: an account by patient would refuse by who is there, and tell that. So a patient
is charged for every release of every node that shares the book, as if the patient had been in all of them.

What is released is kept, in the same step as it is charged for, by the node and the settings that it was asked with:
asked for once more, it is given again, byte for byte, and costs nothing, also where images came or went since. Another
answer would tell that they did.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from sqlite3 import Connection

from flower_dgan.config import TrainingConfig
from flower_dgan.node.book import Book
from flower_dgan.privacy.accountant import Release, epsilon_of_all

RELEASE = "name"
"""The key of what names a release, in the line of a ledger."""

CHARGED = "charged steps"
"""The key of how many steps of drawn patients were charged for, in the line of a ledger."""

Patient = tuple[int, ...]
"""Which of a node's images are those of a patient, from 0 and ascending."""


def patients_of(groups: Sequence[str]) -> tuple[Patient, ...]:
    """Return the patients of a node, in the order of their first images.

    Who is called differently is another patient, also where two have an image that looks the same: were they one for
    that, a third who has it, too, would join them, and change the sum by more than what one patient adds.

    Parameters
    ----------
    groups : sequence of str
        Whose each image is, as the owner's data say.
    """
    found: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        found.setdefault(group, []).append(index)
    return tuple(map(tuple, found.values()))


def name_of_request(node: str, config: TrainingConfig) -> bytes:
    """Return what names a release: the node, and the settings that choose images, read them and add them up.

    Nothing of the images is in it, nor what a generator makes of the sum later.
    """
    asked = [node, asdict(config.data), asdict(config.algorithm)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def release(
    book: Book, request: bytes, mu: float, check: Callable[..., None], make: Callable[[], bytes]
) -> tuple[bytes, bool]:
    """Return what is released on a request, and whether it is new: what was the first time, or what is made now.

    What is made is charged for and kept, or neither: what could not be kept does not leave.

    Parameters
    ----------
    book : Book
        The owner's.
    request : bytes
        Names what is asked for, see :func:`name_of_request`.
    mu : float
        What the release costs a patient, see :mod:`flower_dgan.privacy.gaussian_mechanism`; above 0.
    check : callable
        Called with the mu of all releases together, this one included, and the steps of drawn patients that were
        charged for, each a :class:`~flower_dgan.privacy.accountant.Release`; raises where that is too much.
    make : callable
        Makes it, with noise that nobody has seen.

    Raises
    ------
    StorageError
        If the book cannot be read or written.
    ValueError
        If mu is not above 0: what has no noise is no release.
    """
    with book.changing() as rows:
        if (found := released(rows, request)) is not None:
            return found, False
        return charge_release(rows, request, mu, check, make), True


def released(rows: Connection, request: bytes) -> bytes | None:
    """Return what was released on a request; None if nothing was."""
    found = rows.execute("SELECT answer FROM released WHERE request = ?", (request,)).fetchone()
    return None if found is None else bytes(found[0])


def charge_release(
    rows: Connection, request: bytes, mu: float, check: Callable[..., None], make: Callable[[], bytes]
) -> bytes:
    """Charge for what is made on a request on which nothing was released, and keep it; see :func:`release`."""
    if not mu > 0:
        raise ValueError(f"a release of mu {mu}")
    check(math.sqrt(_squares(rows) + mu**2), *_steps(rows))
    answer = make()
    rows.execute("INSERT INTO released VALUES (?, ?, ?)", (request, mu**2, answer))
    return answer


def spent(book: Book) -> float:
    """Return the mu of all releases together, 0 for none; raises StorageError."""
    with book.changing() as rows:
        return math.sqrt(_squares(rows))


def charge(book: Book, steps: Release, check: Callable[..., None]) -> None:
    """Charge for steps of drawn patients, before anything that follows from them leaves.

    Parameters
    ----------
    book : Book
        The owner's.
    steps : Release
        What was done.
    check : callable
        As for :func:`release`; raises where nothing is to be charged.

    Raises
    ------
    StorageError
        If the book cannot be read or written.
    """
    with book.changing() as rows:
        check(math.sqrt(_squares(rows)), *_with(_steps(rows), steps))
        rows.execute(
            "INSERT INTO steps VALUES (?, ?, ?) "
            "ON CONFLICT (sigma, share) DO UPDATE SET steps = steps + excluded.steps",
            (steps.sigma, steps.share, steps.steps),
        )


def require_room(book: Book, steps: Release, check: Callable[..., None]) -> None:
    """Raise what ``check`` raises if these steps would cost too much; nothing is charged."""
    with book.changing() as rows:
        check(math.sqrt(_squares(rows)), *_with(_steps(rows), steps))


def spent_in_steps(book: Book) -> tuple[Release, ...]:
    """Return all steps of drawn patients that were charged for; raises StorageError."""
    with book.changing() as rows:
        return _steps(rows)


def is_released(book: Book, request: bytes) -> bool:
    """Return whether the book knows of a release; raises StorageError."""
    with book.changing() as rows:
        return rows.execute("SELECT 1 FROM released WHERE request = ?", (request,)).fetchone() is not None


def epsilon_spent(rows: Connection, delta: float) -> float:
    """Return the epsilon, at a delta, of all that was released, from a connection that may be read only.

    Raises
    ------
    sqlite3.Error
        If it cannot be read.
    """
    return epsilon_of_all(math.sqrt(_squares(rows)), _steps(rows), delta)


def _squares(rows: Connection) -> float:
    return math.fsum(row[0] for row in rows.execute("SELECT squares FROM released"))


def _steps(rows: Connection) -> tuple[Release, ...]:
    found = rows.execute("SELECT sigma, share, steps FROM steps ORDER BY sigma, share")
    return tuple(Release(*each) for each in found)


def _with(charged: tuple[Release, ...], more: Release) -> tuple[Release, ...]:
    """Return steps with more of them, those of one kind as one."""
    same = sum(each.steps for each in charged if (each.sigma, each.share) == (more.sigma, more.share))
    others = [each for each in charged if (each.sigma, each.share) != (more.sigma, more.share)]
    return (*others, Release(more.sigma, more.share, same + more.steps))
