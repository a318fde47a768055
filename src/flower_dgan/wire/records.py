"""Reading Flower records from a peer that may be broken, foreign or hostile."""

import io
import math
import zlib
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.errors import ProtocolError

_HEADER_BYTES = 4096

Record = ArrayRecord | ConfigRecord | MetricRecord
RecordT = TypeVar("RecordT", ArrayRecord, ConfigRecord, MetricRecord)
ValueT = TypeVar("ValueT")


def record_of(content: RecordDict, name: str, kind: type[RecordT]) -> RecordT:
    """Return a record of a message; raises ProtocolError where it is missing or of another type."""
    record = content.get(name)
    if not isinstance(record, kind):
        raise ProtocolError(f"records {sorted(content)} without a {kind.__name__} '{name}'")
    return record


def check_names(content: RecordDict, allowed: Mapping[str, tuple[type[Record], set[str]]]) -> None:
    """Refuse a message whose records or keys are not exactly the allowed ones.

    Parameters
    ----------
    content : RecordDict
        The message's records.
    allowed : mapping of str to (type, set of str)
        Type and keys of each record.

    Raises
    ------
    ProtocolError
        Names what is missing or foreign.
    """
    if set(content) != set(allowed):
        raise ProtocolError(f"records {sorted(content)} where {sorted(allowed)} are allowed")
    for name, (kind, keys) in allowed.items():
        record = content[name]
        if not isinstance(record, kind):
            raise ProtocolError(f"record '{name}' is a {type(record).__name__}, not a {kind.__name__}")
        if set(record) != keys:
            raise ProtocolError(f"record '{name}' has the keys {sorted(record)} where {sorted(keys)} are allowed")


def read_array(array: Array, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Return a received array after its type, shape and byte count were found to be the announced ones.

    Raises
    ------
    ProtocolError
        If the array, its header or its size differ from what was announced, or a value is not finite.
    """
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if array.dtype != dtype or tuple(array.shape) != shape or not 0 <= len(array.data) - expected <= _HEADER_BYTES:
        raise ProtocolError(
            f"an array of {array.dtype} {tuple(array.shape)} in {len(array.data)} bytes where {dtype} {shape} is due"
        )
    try:
        stream = io.BytesIO(array.data)
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"array format {version}")
        header = np.lib.format.read_array_header_1_0(stream)
        if header != (shape, False, np.dtype(dtype)):
            raise ValueError(f"its header says {header}")
        values = array.numpy()
    except (ValueError, TypeError, EOFError) as error:
        raise ProtocolError(f"an array of {dtype} {shape} that cannot be read: {error}") from error
    if not np.isfinite(values).all():
        raise ProtocolError(f"an array of {dtype} {shape} with values that are not finite")
    return values


def pack_array(array: NDArray[np.generic]) -> Array:
    """Return an array as it travels: those of 8 bits deflated, as floating-point numbers gain too little from it."""
    if array.dtype.itemsize > 1:
        return Array(array)
    return Array(np.frombuffer(zlib.compress(array.tobytes(), level=1), np.uint8))


def read_packed(array: Array, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Return what :func:`pack_array` was given; no more memory is taken than that needs.

    Raises
    ------
    ProtocolError
        As :func:`read_array`; also if the data cannot be inflated to exactly so many bytes.
    """
    if np.dtype(dtype).itemsize > 1:
        return read_array(array, dtype, shape)
    size = math.prod(shape)
    length = array.shape[0] if len(array.shape) == 1 else -1
    if not 0 <= length <= size + size // 100 + _HEADER_BYTES:
        raise ProtocolError(f"{tuple(array.shape)} bytes where {dtype} {shape}, deflated, is due")
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(read_array(array, "uint8", (length,)).tobytes(), size + 1)
    except zlib.error as error:
        raise ProtocolError(f"an array of {dtype} {shape} that cannot be inflated: {error}") from error
    if len(data) != size or not inflate.eof or inflate.unused_data:
        raise ProtocolError(f"an array that does not inflate to {dtype} {shape}")
    return np.frombuffer(bytearray(data), dtype).reshape(shape)


def read_value(record: ConfigRecord | MetricRecord, key: str, kind: type[ValueT]) -> ValueT:
    """Return a scalar or list of a record; raises ProtocolError where it is of another type."""
    value = record.get(key)
    if type(value) is not kind:
        raise ProtocolError(f"'{key}' is {str(value)[:80]!r}, not of type {kind.__name__}")
    return value
