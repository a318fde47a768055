"""What left a node: a line for each message, chained by hashes, on the disk before the message leaves."""

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from platformdirs import user_state_path

from flower_dgan.data.plain_values import parse_json
from flower_dgan.errors import DataError, StorageError
from flower_dgan.names import file_stem
from flower_dgan.node.book import Book
from flower_dgan.node.book_file import PUT_BACK
from flower_dgan.node.privacy_book import CHARGED, RELEASE, is_released, spent_in_steps
from flower_dgan.private import private_directory

_START = "0" * 64
_TAIL = 2**18  # bytes, more than a line has
_FOLDER = "ledger"


class OwnerLedger:
    """The ledger of one node.

    Each line is JSON with the hash of the line before it, and of itself. How many lines there are, and the last hash,
    are also in the owner's book, so that lines which are cut off at the end are missed.

    Parameters
    ----------
    path : Path
        The file; its name without the suffix is the node's.
    book : Book
        The owner's.
    """

    def __init__(self, path: Path, book: Book) -> None:
        self.path = path
        self._book = book

    @classmethod
    def of(cls, node: str) -> "OwnerLedger":
        """Return the ledger of a node of this user, by what its owner calls it."""
        return cls(user_state_path("flower-dgan") / _FOLDER / f"{file_stem(node)}.jsonl", Book())

    def note(self, entry: Mapping[str, Any]) -> None:
        """Add a line, and wait until it is on the disk; raises StorageError if it cannot be written."""
        try:
            private_directory(self.path.parent)
            with self._opened() as file:
                self.require_newest_book()
                number, previous = self._last(file)
                with self._book.changing() as rows:
                    head = self._head(rows)
                if head is not None and head[0] > number:  # lines were cut off: the gap stays to be seen
                    number, previous = head
                when = datetime.now(UTC).isoformat(timespec="milliseconds")
                line = {"number": number + 1, "time": when, **entry, "previous": previous}
                line["hash"] = line_hash(line)
                file.seek(0, os.SEEK_END)
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                with self._book.changing() as rows:
                    last = (self.path.stem, line["number"], line["hash"])
                    rows.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?)", last)
        except OSError as error:
            raise StorageError(
                f"What leaves this node cannot be noted in {self.path}: {error.strerror}. Nothing leaves: free space "
                "there."
            ) from error

    def require_newest_book(self) -> None:
        """Raise StorageError if the book knows less than any ledger beside this one: an older copy was put back.

        One line may be ahead, whose process died before the book knew of it; not of a release with noise, which the
        book knows of before its line is written.
        """
        for each in self._beside():
            # Before the book, which is ahead if a line is added meanwhile.
            number, previous, _, told = each.last_line()
            with self._book.changing() as rows:
                known, hashed = each._head(rows) or (0, _START)
            died = (known, hashed) == (number - 1, previous) and self._knows_release(told)
            if known < number and not died:
                raise StorageError(
                    f"The book of this node's owner, {self._book.path}, is older than {each.path}: it knows of "
                    f"{known} of {number} messages, and of what was done with each image as little. {PUT_BACK}"
                )

    def adopt(self) -> None:
        """Let the book know of the last line, whatever it knew."""
        number, _, said, _ = self.last_line()
        if number:
            with self._book.changing() as rows:
                rows.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?)", (self.path.stem, number, said))

    def last_line(self) -> tuple[int, str, str, Mapping[str, Any]]:
        """Return number of the last whole line, hash of the one before it, its own, and all of it; changes nothing."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                tail = file.read()
        except FileNotFoundError:
            return 0, _START, _START, {}
        try:
            last = json.loads(tail[: tail.rfind(b"\n") + 1].splitlines()[-1])
            return int(last["number"]), str(last["previous"]), str(last["hash"]), last
        except (ValueError, KeyError, TypeError, IndexError):  # its own node says more
            return 0, _START, _START, {}

    def _knows_release(self, line: Mapping[str, Any]) -> bool:
        """Return whether the book knows of what a line says was released with noise, if it says so."""
        privacy = line.get("privacy")
        told = privacy if isinstance(privacy, dict) else {}
        name, steps = told.get(RELEASE), told.get(CHARGED)
        if isinstance(steps, int) and sum(each.steps for each in spent_in_steps(self._book)) < steps:
            return False
        return not isinstance(name, str) or is_released(self._book, bytes.fromhex(name))

    def _beside(self) -> list["OwnerLedger"]:
        return [OwnerLedger(each, self._book) for each in sorted(self.path.parent.glob("*.jsonl"))]

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file while no other process of the node writes into it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield file

    def _last(self, file: BinaryIO) -> tuple[int, str]:
        """Return number and hash of the last line; what a power cut left of one that never left is cut off."""
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _TAIL))
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            file.truncate(end - (len(tail) - whole))
        lines = tail[:whole].splitlines()
        if not lines:
            return 0, _START
        try:
            last = parse_json(lines[-1])
            return int(last["number"]), str(last["hash"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise StorageError(
                f"The last line of {self.path} is none of a ledger: {error}. `flower-dgan ledger` says more; move the "
                "file away, and keep it."
            ) from error

    def _head(self, rows: sqlite3.Connection) -> tuple[int, str] | None:
        """Return number and hash of the last line that the book knows of."""
        found: tuple[int, str] | None = rows.execute(
            "SELECT lines, hash FROM ledgers WHERE node = ?", (self.path.stem,)
        ).fetchone()
        return found

    def verify(self) -> "Verdict":
        """Read every line and hold it against the one before it; raises DataError if the file cannot be read."""
        with self._book.reading() as rows:
            head = (
                None if rows is None else self._head(rows)
            )  # before the file: a line that is added meanwhile is none too few
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from error
        found: list[dict[str, Any]] = []
        problems: list[str] = []
        number, previous = 0, _START
        for place, text in enumerate(lines, start=1):
            try:
                line = parse_json(text)
                named, said, before = int(line["number"]), str(line["hash"]), str(line["previous"])
            except (ValueError, KeyError, TypeError, OverflowError):
                problems.append(f"line {place} cannot be read")
                number, previous = number + 1, ""
                continue
            if line_hash(line) != said:
                problems.append(f"line {place} (message {named}) was changed")
            elif named != number + 1:
                problems.append(f"line {place} is message {named}, where message {number + 1} is due: removed or moved")
            elif previous and before != previous:
                problems.append(f"line {place} (message {named}) does not follow the line before it")
            found.append(line)
            number, previous = named, said
        if head is None and found:
            problems.append("the owner's book knows nothing of this ledger")
        elif head is not None and number > head[0] + 1:
            problems.append(f"the owner's book knows of message {head[0]} as the last: it is an older one, put back")
        elif head is not None and not any((each["number"], each["hash"]) == head for each in found):
            problems.append(f"message {head[0]}, the last that the owner's book knows of, is missing or was changed")
        return Verdict(tuple(found), tuple(problems), previous)


@dataclass(frozen=True)
class Verdict:
    """What a ledger says.

    Attributes
    ----------
    lines : tuple of dict
        Those that can be read.
    problems : tuple of str
        What was changed, removed or moved, by line.
    head : str
        Hash of the last line: an owner who keeps it elsewhere knows later that nothing before it was changed.
    """

    lines: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    head: str


def line_hash(line: Mapping[str, Any]) -> str:
    """Return the hash of a line, but for itself; that of the line before it is part of it."""
    told = {name: value for name, value in line.items() if name != "hash"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def ledgers_in(directory: Path) -> list[OwnerLedger]:
    """Return the ledgers of a state directory; raises DataError if there are none."""
    files = sorted((directory / _FOLDER).glob("*.jsonl"))
    if not files:
        raise DataError(f"{directory} holds no ledger of a node: name the state directory, or leave it out for yours.")
    return [OwnerLedger(file, Book(directory / "book.sqlite")) for file in files]
