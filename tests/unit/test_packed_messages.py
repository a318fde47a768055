"""The questions of many clients: in one file while they wait for answers, the same bytes each time they are sent."""

import errno
import gc
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from flower_dgan.errors import StorageError
from flower_dgan.flower import packed_messages
from flower_dgan.flower.flower_internals import take_identity
from flower_dgan.flower.journey import Journey
from flower_dgan.flower.packed_messages import PackedMessages
from flower_dgan.flower.sent import Sent
from flower_dgan.wire.parcels import Parcel

CLIENTS, SIZE = 40, 500_000
ENVELOPE = Parcel("0123456789abcdef", 10_000_000)


@pytest.fixture(autouse=True)
def identity() -> None:
    """Let this process make messages, as Flower lets the one of a run."""
    take_identity()


def question(seed: int) -> Message:
    values = np.random.default_rng(seed).integers(0, 256, (2, SIZE // 2), dtype=np.uint8)
    arrays = ArrayRecord({"x": Array(values[0]), "y": Array(values[1])})
    content = RecordDict({"about": ConfigRecord({"round": seed}), "values": arrays})
    return Message(content, dst_node_id=seed + 1, message_type="query.double", group_id="1")


class _Pull:
    asking = False

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id

    def stop(self) -> None:
        """Ask no more."""


def out(messages: Iterable[Message], place: PackedMessages) -> list[Sent]:
    """Return messages that a SuperLink took, and nobody has answered."""
    sent = []
    for number, each in enumerate(messages):
        sent.append(Sent(Journey(each, ENVELOPE, as_bytes=True, packed=place), None))
        sent[-1].took(_Pull(str(number)), 1.0)  # type: ignore[arg-type]
    return sent


def held(place: PackedMessages) -> tuple[int, list[Sent]]:
    gc.collect()
    tracemalloc.start()
    sent = out(map(question, range(CLIENTS)), place)
    gc.collect()
    found = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return found, sent


def test_questions_that_are_out_are_not_in_memory(tmp_path: Path) -> None:
    in_memory, _ = held(PackedMessages(None))
    assert CLIENTS * SIZE < in_memory < 1.5 * CLIENTS * SIZE  # once, and not as content, bytes and copy
    in_file, sent = held(PackedMessages(tmp_path))
    assert in_file < SIZE
    assert list(tmp_path.iterdir()) == []
    for seed, each in enumerate(sent):
        each.copy()
        first = each.message.content.array_records["part"]["bytes"].data
        each.copy()
        assert each.message.content.array_records["part"]["bytes"].data == first
        assert each.journey.whole().content == question(seed).content
        assert each.journey.whole().metadata.message_type == "query.double"


def test_what_was_sent_keeps_its_content(tmp_path: Path) -> None:
    sent = Sent(Journey(question(0), ENVELOPE, as_bytes=True, packed=PackedMessages(tmp_path)), None)
    pushed = sent.message  # Flower's simulation keeps the object itself until a client takes it
    sent.took(_Pull("0"), 1.0)  # type: ignore[arg-type]
    assert pushed.content.array_records["part"]["bytes"].data
    assert (sent.node, sent.sent_kind, sent.group) == (1, "query.double", "1")
    assert not sent.message.content


def test_the_room_of_a_message_is_the_next_ones(tmp_path: Path) -> None:
    place = PackedMessages(tmp_path)
    first, second, third = (place.put(bytes([number]) * 100) for number in range(3))
    assert size_of(place) == 300
    del second
    smaller, other = place.put(b"a" * 60), place.put(b"b" * 40)
    assert size_of(place) == 300
    assert (first.read(), third.read(slice(98, 200))) == (bytes(100), b"\2\2")
    assert (smaller.read(), other.read(slice(39, 40))) == (b"a" * 60, b"b")
    place.put(b"c" * 50)
    assert size_of(place) == 350
    del first, third, smaller, other
    assert size_of(place) == 0
    assert place.put(b"again").read() == b"again"


def test_rooms_that_touch_become_one(tmp_path: Path) -> None:
    place = PackedMessages(tmp_path)
    messages = [place.put(bytes([number]) * 100) for number in range(4)]
    del messages[1:3]
    kept = place.put(b"a" * 200)
    assert size_of(place) == 400
    assert [each.read() for each in (*messages, kept)] == [bytes(100), b"\3" * 100, b"a" * 200]


def test_a_message_that_is_given_up_while_another_is_put_harms_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = PackedMessages(tmp_path)
    last = [place.put(b"x" * 50)]
    write = packed_messages.os.pwrite

    def given_up_meanwhile(*arguments: object) -> int:
        last.clear()
        return int(write(*arguments))  # type: ignore[arg-type]

    monkeypatch.setattr(packed_messages.os, "pwrite", given_up_meanwhile)
    after = place.put(b"y" * 70)
    other = place.put(b"z" * 30)
    assert (after.read(), other.read()) == (b"y" * 70, b"z" * 30)
    assert size_of(place) == 120  # the next one was where the first had been


def size_of(place: PackedMessages) -> int:
    assert place._file is not None
    return place._file.seek(0, 2)


def test_a_full_disk_is_an_error_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = PackedMessages(tmp_path)
    before = place.put(b"before")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packed_messages.os, "pwrite", full)
    with pytest.raises(StorageError, match=rf"{tmp_path}.* No space left on device\. Free space on the disk of"):
        place.put(b"after")
    monkeypatch.undo()
    assert (before.read(), place.put(b"then").read()) == (b"before", b"then")
