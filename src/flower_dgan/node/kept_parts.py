"""A node's side of messages in parts: files in the directory of the training, as one process may not see all parts."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from flwr.app import Message, RecordDict

from flower_dgan.errors import ProtocolError
from flower_dgan.node.state import ClientState
from flower_dgan.private import private_directory
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.packing import pack_content
from flower_dgan.wire.parcels import LARGEST, PARCEL, Parcel, Whole, brings_part, has_arrays, kept, missing, too_large

_KEPT = 2
"""Messages, and answers, that are kept: a server has at most so many under way."""


def answer_in_parts(
    message: Message,
    node: str,
    handle: Callable[[Message], RecordDict],
    check: Callable[[str], None] = lambda _: None,
    largest: Callable[[str], int] = lambda _: LARGEST,
) -> RecordDict:
    """Answer a message that may be a part of one, with an answer that may be a part of one.

    Parameters
    ----------
    message : Message
        What came; changed in place: what is handled is whole.
    node : str
        What the node is called by its owner, see :class:`~flower_dgan.node.state.ClientState`.
    handle : callable
        Answers whole messages. It is called again where a part was lost on its way, so it answers as it did before.
    check : callable
        Takes the training of a message that says its parts, and raises if that may have none.
    largest : callable
        Takes the training too, and returns how many bytes a message of it may have in all its parts.

    Returns
    -------
    RecordDict
        The answer, its first part, or that a part was kept or others are missing.

    Raises
    ------
    ProtocolError
        If the part is none, or of another length than it says, or the message is larger than any of the training.
    FederationError
        If the node has not joined the training.
    """
    if PARCEL not in message.content:
        return handle(message)
    parcel = Parcel.from_records(message.content)
    if not parcel.training or not parcel.limit:
        raise ProtocolError("a message that does not say how large its answer may be")
    check(parcel.training)
    state = ClientState(parcel.training, node)
    if parcel.whole is None:
        message.content = RecordDict({name: each for name, each in message.content.items() if name != PARCEL})
        return _cut(handle(message), state, parcel.limit)
    if brings_part(message.content) and parcel.whole.size > (most := largest(parcel.training)):
        raise ProtocolError(f"a message of {parcel.whole.size} bytes in a training whose largest has {most}")
    if brings_part(message.content) and parcel.whole.count == 1:
        message.content = parcel.whole.join(parcel.part(message.content))
        return _cut(handle(message), state, parcel.limit, as_bytes=True)
    files = KeptParts(state.parcels())
    if not brings_part(message.content):
        return files.part_of_answer(parcel.whole, parcel.number)
    files.keep(parcel.whole, parcel.number, parcel.part(message.content))
    if parcel.number < parcel.whole.count - 1:
        return kept()
    if (content := files.joined(parcel.whole)) is None:
        return missing()
    message.content = content
    return _cut(handle(message), state, parcel.limit)


def _cut(answer: RecordDict, state: ClientState, limit: int, *, as_bytes: bool = False) -> RecordDict:
    """Return an answer, as bytes if the message came so, or its first part if it is too large for one message."""
    if not (too_large(answer, limit) or (as_bytes and has_arrays(answer))):
        return answer
    data = pack_content(answer)
    whole = Whole.of(data, limit)
    if whole.count == 1:
        return Parcel("", 0, 0, whole).records(data)
    files = KeptParts(state.parcels())
    files.keep_answer(whole, data)
    return files.part_of_answer(whole, 0)


class KeptParts:
    """Parts of messages that are not whole yet, and answers that are not fetched yet.

    Parameters
    ----------
    directory : Path
        Where the files are; made where it is missing. Their names are hashes and numbers that were checked.
    """

    def __init__(self, directory: Path) -> None:
        self._messages, self._answers = directory / "messages", directory / "answers"
        self._rules = directory / "rules"
        for each in (directory, self._messages, self._answers):
            private_directory(each)

    def under(self, rules: str) -> None:
        """Forget the answers that are kept, unless they were made under the same rules as these."""
        found = hashlib.sha256(rules.encode()).hexdigest()
        if self._rules.is_file() and self._rules.read_text(encoding="utf-8") == found:
            return
        for each in self._answers.iterdir():
            each.unlink(missing_ok=True)
        with whole_file(self._rules, private=True, durable=False) as partial:
            partial.write_text(found, encoding="utf-8")

    def keep(self, whole: Whole, number: int, part: bytes) -> None:
        """Keep a part; the oldest message goes where there are more than may be under way."""
        folder = self._messages / f"{whole.digest}-{whole.size}-{whole.count}"
        if not folder.is_dir():
            _make_room(self._messages)
            folder.mkdir(mode=0o700, exist_ok=True)
        with whole_file(folder / f"{number:05d}", shared=True, private=True, durable=False) as partial:
            partial.write_bytes(part)

    def joined(self, whole: Whole) -> RecordDict | None:
        """Return the content of a message, None if parts of it are missing; raises ProtocolError if it is another."""
        folder = self._messages / f"{whole.digest}-{whole.size}-{whole.count}"
        files = [folder / f"{number:05d}" for number in range(whole.count)]
        if not all(file.is_file() for file in files):
            return None
        return whole.join(b"".join(file.read_bytes() for file in files))

    def keep_answer(self, whole: Whole, data: bytes) -> None:
        """Keep an answer; the oldest goes where there are more than may be under way."""
        file = self._answers / whole.digest
        if not file.is_file():
            _make_room(self._answers)
        with whole_file(file, shared=True, private=True, durable=False) as partial:
            partial.write_bytes(data)

    def part_of_answer(self, whole: Whole, number: int) -> RecordDict:
        """Return a message with a part of an answer, or that there is no such answer."""
        place, file = whole.place(number), self._answers / whole.digest
        if not file.is_file() or file.stat().st_size != whole.size:
            return missing()
        with file.open("rb") as opened:
            opened.seek(place.start)
            return Parcel("", 0, number, whole).records(opened.read(place.stop - place.start))


def _make_room(directory: Path) -> None:
    """Let one more entry be added to a directory."""
    entries = sorted(directory.iterdir(), key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries[: max(0, len(entries) - _KEPT + 1)]:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
