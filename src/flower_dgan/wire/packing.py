"""A message's content as bytes, and back without a bit of difference; nothing that is read is executed.

Eight bytes give the length of a header, which is JSON and holds everything but the values of the arrays; these follow
it, one after the other.
"""

import json
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from flower_dgan.errors import ProtocolError

_LENGTH_BYTES = 8
_LONGEST_HEADER = 4_000_000
_ARRAY_BYTES = 400
_KINDS: dict[str, type[ConfigRecord] | type[MetricRecord]] = {"config": ConfigRecord, "metric": MetricRecord}


def weigh(content: RecordDict) -> int:
    """Return about how many bytes a content takes on its way, rather more than less."""
    total = 0
    for name, record in content.items():
        total += _ARRAY_BYTES + len(name)
        for key, value in record.items():
            total += len(key) + (len(value.data) + _ARRAY_BYTES if isinstance(value, Array) else len(repr(value)) + 16)
    return total


def pack_content(content: RecordDict) -> bytes:
    """Return the content of a message as bytes."""
    header: list[list[Any]] = []
    data: list[bytes] = []
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            rows = [[key, each.dtype, list(each.shape), each.stype, len(each.data)] for key, each in record.items()]
            header.append([name, "array", rows])
            data += [each.data for each in record.values()]
        else:
            kind = next(kind for kind, record_type in _KINDS.items() if isinstance(record, record_type))
            header.append([name, kind, [[key, _plain(value)] for key, value in record.items()]])
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(_LENGTH_BYTES, "big"), text, *data])


def unpack_content(data: bytes) -> RecordDict:
    """Return the content that :func:`pack_content` was given.

    Raises
    ------
    ProtocolError
        If these are not the bytes of a content: nothing is missing and nothing left over.
    """
    length = int.from_bytes(data[:_LENGTH_BYTES], "big")
    if not 0 < length <= min(_LONGEST_HEADER, len(data) - _LENGTH_BYTES):
        raise ProtocolError(f"a content of {len(data)} bytes whose header has {length}")
    place = _LENGTH_BYTES + length
    content = RecordDict()
    try:
        for name, kind, rows in json.loads(data[_LENGTH_BYTES:place]):
            if kind in _KINDS:
                content[_text(name)] = _KINDS[kind]({_text(key): _value(value) for key, value in rows})
            elif kind == "array":
                arrays = {}
                for key, dtype, shape, stype, size in rows:
                    if not (type(size) is int and 0 <= size <= len(data) - place):
                        raise ProtocolError(f"an array of {str(size)[:40]} bytes where {len(data) - place} are left")
                    own = tuple(entry for entry in shape if type(entry) is int and entry >= 0)
                    if len(own) != len(shape):
                        raise ProtocolError(f"an array of shape {str(shape)[:80]}")
                    arrays[_text(key)] = Array(
                        dtype=_text(dtype), shape=own, stype=_text(stype), data=data[place : place + size]
                    )
                    place += size
                content[_text(name)] = ArrayRecord(arrays)
            else:
                raise ProtocolError(f"a record of kind {str(kind)[:40]!r}")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"a content whose header cannot be read: {str(error)[:200]}") from error
    if place != len(data):
        raise ProtocolError(f"a content with {len(data) - place} bytes left over")
    return content


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no name")
    return value


def _plain(value: object) -> object:
    """Return a value as JSON can hold it."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


def _value(plain: Any) -> Any:
    if isinstance(plain, dict):
        return bytes.fromhex(plain["hex"]) if list(plain) == ["hex"] else None
    return [_value(entry) for entry in plain] if isinstance(plain, list) else plain
