"""What crossed the wire, counted message by message and record by record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flwr.app import ArrayRecord, Message

FROM_NODE = "from node"
TO_NODE = "to node"


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
    counts : dict
        Keys are (node id, direction, record, key).
    """

    counts: dict[tuple[int, str, str, str], RecordCount] = field(default_factory=dict)

    def add(self, node_id: int, direction: str, message: Message) -> None:
        """Count a message; an error reply counts as the record 'error'."""
        if message.has_error():
            reason = message.error.reason or ""
            self._count(node_id, direction, "error", "reason", "text", "", len(reason.encode()))
            return
        for name, record in message.content.items():
            if isinstance(record, ArrayRecord):
                for key, array in record.items():
                    shape = " x ".join(str(size) for size in array.shape)
                    self._count(node_id, direction, name, key, array.dtype, shape, len(array.data))
            else:
                for key, value in record.items():
                    text = repr(value)
                    self._count(node_id, direction, name, key, type(value).__name__, "", len(text.encode()))

    def bytes(self, node_id: int, direction: str) -> int:
        """Return the bytes that crossed in one direction so far."""
        return sum(c.bytes for (node, way, _, _), c in self.counts.items() if (node, way) == (node_id, direction))

    def rows(self) -> Iterator[tuple[int, str, str, str, RecordCount]]:
        """Return every count with its node id, direction, record and key, in the order of first appearance."""
        for (node_id, direction, record, key), count in self.counts.items():
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

    def _count(self, node_id: int, direction: str, record: str, key: str, dtype: str, shape: str, size: int) -> None:
        count = self.counts.setdefault((node_id, direction, record, key), RecordCount())
        count.dtype, count.shape = dtype, shape
        count.messages += 1
        count.bytes += size
