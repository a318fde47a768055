"""What a node of this user keeps of trainings, in its state directory, and whether that may go."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flower_dgan.errors import ConfigError
from flower_dgan.node.approvals import APPROVED, UNASKED, WAITING, Approvals, Asked
from flower_dgan.node.book import Book
from flower_dgan.removal import Found, remove, shown, survey, unused

CLIENTS, NODE, BOOK = "clients", "node.json", "book.sqlite"
RECORDS = ("secrets", "identity", "ledger", BOOK)
"""What is kept beyond trainings: what the draws follow from, the key by which other owners know the node, what left,
and what was done with each image."""

QUIET_SECONDS = 3600.0
"""A training whose directory did not change for so long is not under way: a server asks again sooner."""
_IDENTITY = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Leftover:
    """What one node keeps of one training.

    Attributes
    ----------
    training : str
        Its identity.
    found : Found
        What is there.
    asked : Asked or None
        What the owner's book knows of the training.
    """

    training: str
    found: Found
    asked: Asked | None

    def under_way(self, now: float) -> str | None:
        """Return why it may not be removed now, and what to do; None where it may."""
        minutes = (now - self.found.changed) / 60
        over = self.asked is not None and self.asked.state not in (WAITING, APPROVED, UNASKED)
        if over or minutes * 60 >= QUIET_SECONDS:
            return None
        end = f"`flower-dgan policy revoke {self.asked.settings}` ends it at once" if self.asked else "end its run"
        return f"it was used {max(0, minutes):.0f} minutes ago and may be under way: {end}, or wait for an hour"


def leftovers(state: Path, training: str | None = None) -> Iterator[Leftover]:
    """Yield what the nodes of a state directory keep of trainings, or of one.

    What is no directory of a training by its name is somebody else's, and passed over.

    Raises
    ------
    ConfigError
        As :func:`~flower_dgan.removal.survey`.
    """
    clients = state / CLIENTS
    if clients.is_symlink():
        survey(clients)  # says what is wrong
    asked = _asked(state)
    for folder in sorted(clients.iterdir()) if clients.is_dir() else ():
        if _IDENTITY.fullmatch(folder.name) and training in (None, folder.name):
            if folder.is_symlink() or not folder.is_dir():
                survey(folder)
            for node in sorted(folder.iterdir()):
                yield Leftover(folder.name, survey(node), asked.get(folder.name))


def of_place(place: Path) -> Iterator[Leftover]:
    """Yield what is kept at a directory of a training, or of one node in it; nothing where it is neither."""
    for training in (place, place.parent):
        if training.parent.name == CLIENTS and _IDENTITY.fullmatch(training.name):
            for each in leftovers(training.parent.parent, training.name):
                if place in (training, each.found.path):
                    yield each


def is_state(place: Path) -> bool:
    """Return whether a directory is the state directory of nodes: by its name too, as others have secrets as well."""
    return place.name == "flower-dgan" and any((place / name).exists() for name in (CLIENTS, *RECORDS))


def remove_leftover(leftover: Leftover) -> None:
    """Remove what a node keeps of a training, and the training's directory where no other node is in it.

    It is looked at once more first: whoever was asked may have thought about it while the training went on.

    Raises
    ------
    ConfigError
        If a process works in it, the training may be under way, or as :func:`~flower_dgan.removal.survey`.
    StorageError
        If it cannot be removed.
    """
    path = leftover.found.path
    if path.is_dir():
        with unused(path):
            _require_over(leftover)
            remove(path, first=NODE)
    else:
        _require_over(leftover)
        remove(path)
    with suppress(OSError):  # other nodes of this machine are still in it
        path.parent.rmdir()


def _require_over(before: Leftover) -> None:
    path = before.found.path
    asked = _asked(path.parents[2]).get(before.training)
    if (reason := Leftover(before.training, survey(path), asked).under_way(time.time())) is not None:
        raise ConfigError(f"{shown(path)} stays: {reason}.")


def _asked(state: Path) -> Mapping[str, Asked]:
    """Return what the owner's book knows, by the identity of the training; nothing where there is no book."""
    book = state / BOOK
    if not book.is_file() or book.is_symlink():
        return {}
    return {each.identity: each for each in Approvals(Book(book)).all() if each.identity}
