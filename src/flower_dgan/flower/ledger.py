"""What crossed the wire, counted message by message and record by record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from flwr.app import Array, Message

FROM_NODE = "from node"
TO_NODE = "to node"

REFUSED = ("refused", "not of the protocol")
"""Record and key under which all is counted that no node is asked for."""

_LONGEST = 60  # characters of a type or shape, which are what a node says they are


@dataclass
class RecordCount:
    """Totals of one key of one record in one direction.

    Attributes
    ----------
    dtype, shape : str
        Of the last array; ``shape`` is empty for settings and metrics.
    messages : int
        Messages that carried it.
    bytes : int
        Bytes of all of them together.
    """

    dtype: str = ""
    shape: str = ""
    messages: int = 0
    bytes: int = 0


@dataclass
class Ledger:
    """Counts of every record, by node, direction, record and key.

    Attributes
    ----------
    answers : mapping of str to set of str, or None
        The keys of each record that nodes may send. Whatever else they send is counted as :data:`REFUSED`, so that no
        node makes rows. Without it every key is counted.
    counts : dict
        Keys are (node id, direction, record, key).
    """

    answers: Mapping[str, frozenset[str]] | None = None
    counts: dict[tuple[int, str, str, str], RecordCount] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)  # newcomers are asked in threads of their own

    def add(self, node_id: int, direction: str, message: Message) -> None:
        """Count a message; an error reply counts as the record 'error'."""
        if message.has_error():
            reason = message.error.reason or ""
            self._count(node_id, direction, "error", "reason", "text", "", len(reason.encode()))
            return
        found: dict[tuple[str, str], tuple[str, str, int]] = {}
        for name, record in message.content.items():
            for key, value in record.items():
                place = self._place(direction, name, key)
                before = found[place][2] if place in found else 0
                if place == REFUSED:
                    dtype, shape, size = "", "", _size(value)
                elif isinstance(value, Array):
                    shape = " x ".join(str(side) for side in value.shape[:_LONGEST])
                    dtype, shape, size = value.dtype[:_LONGEST], shape[:_LONGEST], _size(value)
                else:
                    dtype, shape, size = type(value).__name__, "", _size(value)
                found[place] = dtype, shape, before + size
        for (name, key), (dtype, shape, size) in found.items():
            self._count(node_id, direction, name, key, dtype, shape, size)

    def bytes(self, node_id: int, direction: str) -> int:
        """Return the bytes that crossed in one direction so far."""
        return sum(count.bytes for node, way, _, _, count in self.rows() if (node, way) == (node_id, direction))

    def rows(self) -> Iterator[tuple[int, str, str, str, RecordCount]]:
        """Return every count with its node id, direction, record and key, in the order of first appearance."""
        with self._lock:
            counts = list(self.counts.items())
        for (node_id, direction, record, key), count in counts:
            yield node_id, direction, record, key, count

    def saved(self, names: Mapping[int, str]) -> list[list[object]]:
        """Return the rows of the named nodes with their names, for :meth:`restore`; as JSON can hold them."""
        return [
            [names[node_id], direction, record, key, count.dtype, count.shape, count.messages, count.bytes]
            for node_id, direction, record, key, count in self.rows()
            if node_id in names
        ]

    def restore(self, rows: Iterable[Sequence[Any]], nodes: Mapping[str, int]) -> None:
        """Add rows that were saved to the counts, for the nodes that have these names now."""
        for name, direction, record, key, dtype, shape, messages, size in rows:
            if name in nodes:
                count = self.counts.setdefault((nodes[name], direction, record, key), RecordCount(dtype, shape))
                count.messages += messages
                count.bytes += size

    def _place(self, direction: str, record: str, key: str) -> tuple[str, str]:
        """Return under which record and key something is counted."""
        if self.answers is None or direction == TO_NODE:
            return record, key
        return (record, key) if key in self.answers.get(record, ()) else REFUSED

    def _count(self, node_id: int, direction: str, record: str, key: str, dtype: str, shape: str, size: int) -> None:
        with self._lock:
            count = self.counts.setdefault((node_id, direction, record, key), RecordCount())
            count.dtype, count.shape = dtype, shape
            count.messages += 1
            count.bytes += size


def _size(value: object) -> int:
    """Return the bytes of an array, or of the text of another value."""
    return len(value.data) if isinstance(value, Array) else len(repr(value).encode())
