"""Secrets where a node has them, trainings that fish for them, and where in a reply they would be seen.

A secret is a token that occurs nowhere else. What is looked for is each of its forms: as text in several encodings, in
hexadecimal digits, in base64 at each of its three offsets, backwards, deflated, and as the numbers of an array.
"""

import base64
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Error, RecordDict

_SPAN = 2**20  # bytes that a deflated stream is read to
_ZLIB, _GZIP = b"\x78", b"\x1f\x8b"


@dataclass(frozen=True)
class Places:
    """Where secrets are, as a server could name the places."""

    variable: str
    file: str
    folder: str
    stem: str

    def lures(self) -> tuple[object, ...]:
        """Return values of settings that would bring a secret, its length or a hint of it, if something looked."""
        return (
            f"${{oc.env:{self.variable}}}",
            f"${{oc.env:{self.variable},x}}-${{oc.env:HOME}}",
            "${oc.decode:${oc.env:" + self.variable + "}}",
            "${.}",
            f"${self.variable}",
            f"%({self.variable})s",
            "{" + self.variable + "}",
            "{0.__class__.__init__.__globals__}",
            self.file,
            self.folder,
            "file://" + self.file,
            "../" + self.file.rsplit("/", 1)[-1],
            "/proc/self/environ",
            "/proc/self/cwd/" + self.file.rsplit("/", 1)[-1],
            "(?P<site>.*)",
            "(?P<site>" + self.stem[:4] + ".*)(?P<group>.*)",
            "{site}_{group}_{*}",
            "{split}{*}",
            "os:environ",
            "builtins:open",
            "subprocess:Popen",
            "pathlib:Path",
            self.stem[:6] + "*",
            "clients",
            "drawn",
            "folder",
            "\x00",
            "\udc80",
            "a" * 3000,
            True,
            None,
            -1,
            0,
            1,
            3,
            2**70,
            1e-300,
            1e308,
            float("nan"),
            float("inf"),
            [],
            [self.file],
            {},
            {"source": self.file},
        )


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in decoded JSON each value is, those that hold others, too."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))


def changed(text: str, places: Places, rng: np.random.Generator) -> str:
    """Return JSON with one to three values changed, most to others of their types, or a key more or less, or cut."""
    value, lures = json.loads(text), places.lures()
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        paths = list(leaves(value))
        if not paths:
            break
        *way, last = paths[rng.integers(len(paths))]
        holder = value
        for key in way:
            holder = holder[key]
        match rng.integers(8):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, dict):
                holder[str(lures[rng.integers(len(lures))])] = lures[rng.integers(len(lures))]
            case 2:
                holder[last] = lures[rng.integers(len(lures))]
            case _:
                kind = str if holder[last] is None else type(holder[last])
                alike = [each for each in lures if type(each) is kind]
                holder[last] = alike[rng.integers(len(alike))]
    written = json.dumps(value)
    return written[: rng.integers(len(written))] if not rng.integers(20) else written


def changed_records(content: RecordDict, places: Places, rng: np.random.Generator) -> None:
    """Put a lure into a record, as the value of a key that is there or as a key more, or take a record away."""
    # Flower's records hold no half of a character that has two, and no list of nothing.
    scalars = [each for each in places.lures() if isinstance(each, str | bool | int | float) and each != "\udc80"]
    lure = scalars[rng.integers(len(scalars))]
    if isinstance(lure, int) and abs(lure) >= 2**63:
        lure = -1
    name = sorted(content)[rng.integers(len(content))]
    record = content[name]
    if rng.integers(10) == 0:
        del content[name]
    elif isinstance(record, ConfigRecord) and record:
        record[sorted(record)[rng.integers(len(record))] if rng.integers(4) else str(lure)[:40]] = lure
    else:
        content[str(lure)[:40]] = ConfigRecord({"value": lure})


def forms(secret: str) -> tuple[bytes, ...]:
    """Return how a secret may lie in bytes, in small letters where it is text."""
    raw = secret.encode()
    inner = [base64.b64encode(b"\0" * skip + raw)[4 if skip else 0 :] for skip in range(3)]
    texts = (raw, raw[::-1], secret.encode("utf-16-le"), secret.encode("utf-32-le"), raw.hex().encode())
    # The first and the last signs of base64 depend on what is beside it.
    return tuple(each.lower() for each in (*texts, secret.encode("utf-16-be"), *(each[1:-3] for each in inner)))


def pieces(content: RecordDict | Error) -> Iterator[bytes]:
    """Yield all bytes of a reply: of its error, or of the names, keys and values of its records, and of its arrays."""
    if isinstance(content, Error):
        yield f"{content.code} {content.reason}".encode(errors="surrogateescape")
        return
    for name, record in content.items():
        yield name.encode(errors="surrogateescape")
        for key, value in record.items():
            yield key.encode(errors="surrogateescape")
            if hasattr(value, "data"):
                yield from (value.data, value.dtype.encode(), value.stype.encode(), repr(value.shape).encode())
                yield from numbers(value)
            else:
                for each in value if isinstance(value, list) else [value]:
                    yield each if isinstance(each, bytes) else str(each).encode(errors="surrogateescape")


def numbers(array: Any) -> Iterator[bytes]:
    """Yield an array's values as bytes where they could be letters: as they are, and from [-1, 1] and [0, 1]."""
    try:
        values = array.numpy().astype(np.float64).ravel()
    except (TypeError, ValueError):
        return
    for scaled in (values, (values + 1) * 127.5, values * 255):
        yield np.nan_to_num(np.clip(np.rint(scaled), 0, 255)).astype(np.uint8).tobytes()


def opened(data: bytes, depth: int = 2) -> Iterator[bytes]:
    """Yield data and what is deflated in it, and in that."""
    yield data
    if not depth:
        return
    for mark in (_ZLIB, _GZIP):
        start = data.find(mark)
        while start >= 0:
            try:
                found = zlib.decompressobj(47).decompress(data[start:], _SPAN)
            except zlib.error:
                found = b""
            if len(found) > 4:
                yield from opened(found, depth - 1)
            start = data.find(mark, start + 1)


def found_in(content: RecordDict | Error, secrets: dict[str, str]) -> set[str]:
    """Return which secrets, by name, are anywhere in a reply, in whatever form."""
    seen = set()
    wanted = {name: forms(secret) for name, secret in secrets.items()}
    for piece in pieces(content):
        for data in opened(piece):
            small = data.lower()
            seen |= {name for name, theirs in wanted.items() if any(form in small for form in theirs)}
    return seen
