"""Packed label maps: bit for bit, and nothing absurd is unpacked."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_dgan.data import PackedLabelMaps, content_hash, pack, sizes_of, unpack
from flower_dgan.errors import DataError, ProtocolError

BINARY = np.array([[1, 0, 1], [0, 0, 1]], dtype=np.uint8)
THREE = np.array([[2, 0], [1, 1]], dtype=np.uint8)


def _packed(data: bytes, shapes: list[list[int]], classes: int = 2) -> PackedLabelMaps:
    return PackedLabelMaps(data, np.array(shapes, dtype=np.int32), classes)


def test_one_bit_a_pixel() -> None:
    packed = pack([BINARY, BINARY], 2)
    # 101001 101001 and four zeros.
    assert packed.data == bytes([0b10100110, 0b10010000])
    assert packed.shapes.tolist() == [[2, 3], [2, 3]]
    assert packed.shapes.dtype == np.int32
    assert len(pack([np.zeros((256, 256), dtype=np.uint8)], 2).data) == 8192


def test_two_planes_for_three_classes() -> None:
    packed = pack([THREE], 3)
    # Low bits 0011, high bits 1000.
    assert packed.data == bytes([0b00110000, 0b10000000])
    assert [label_map.tolist() for label_map in unpack(packed)] == [[[2, 0], [1, 1]]]


def test_one_class_takes_no_byte() -> None:
    packed = pack([np.zeros((2, 3), np.uint8), np.zeros((4, 1), np.uint8)], 1)
    assert packed.data == b""
    unpacked = unpack(packed)
    assert [label_map.tolist() for label_map in unpacked] == [[[0, 0, 0], [0, 0, 0]], [[0], [0], [0], [0]]]
    assert {label_map.dtype for label_map in unpacked} == {np.dtype(np.uint8)}
    assert content_hash(packed) != content_hash(_packed(b"", [[2, 3], [4, 1]], 2))


def test_label_maps_that_did_not_travel_take_no_memory() -> None:
    # 3.2 GB, if they did.
    unpacked = unpack(_packed(b"", [[32_767, 32_767]] * 3, 1))
    assert [label_map.shape for label_map in unpacked] == [(32_767, 32_767)] * 3
    assert all(label_map.strides == (0, 0) for label_map in unpacked)


@pytest.mark.parametrize(
    ("classes", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (255, 8), (256, 8)]
)
def test_bits_of_a_pixel(classes: int, bits: int) -> None:
    assert len(pack([np.full((8, 8), classes - 1, dtype=np.uint8)], classes).data) == 8 * bits


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    classes = data.draw(st.integers(1, 256))
    sides = st.integers(1, 9)
    maps = []
    for height, width in data.draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=4)):
        values = data.draw(st.lists(st.integers(0, classes - 1), min_size=height * width, max_size=height * width))
        maps.append(np.array(values, dtype=np.uint8).reshape(height, width))
    packed = pack(maps, classes)
    assert len(packed.data) == (classes - 1).bit_length() * -(-sum(label_map.size for label_map in maps) // 8)
    unpacked = unpack(packed)
    assert len(unpacked) == len(maps)
    for before, after in zip(maps, unpacked, strict=True):
        assert after.dtype == np.uint8
        np.testing.assert_array_equal(after, before)
    assert content_hash(pack(unpacked, classes)) == content_hash(packed)


def test_maps_that_are_no_contiguous_array() -> None:
    turned = np.rot90(BINARY)
    np.testing.assert_array_equal(unpack(pack([turned], 2))[0], turned)


def test_the_hash_is_of_content() -> None:
    packed = _packed(b"\xa4", [[2, 3]])
    # SHA-256 of "2 1 ", the bytes 02000000 03000000, and a4; computed apart from this code.
    assert content_hash(packed) == "f148dc6bc19c6016e0526699eec42f33a49dfdcd24f9d0d4cd2751fdecc27d7d"
    assert content_hash(pack([BINARY], 2)) == content_hash(packed)
    others = (_packed(b"\xa0", [[2, 3]]), _packed(b"\xa4", [[3, 2]]), _packed(b"\xa4", [[2, 3]], 3))
    assert len({content_hash(packed), *map(content_hash, others)}) == 4


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (_packed(b"\x00", [[3, 3]]), "1 bytes for 9 pixels of 1 bits, which take 2"),
        (_packed(b"\x00\x00\x00", [[3, 3]]), "3 bytes for 9"),
        (_packed(b"", [[3, 3]]), "0 bytes for 9"),
        (_packed(b"\x00", [[2, 4]], 3), "1 bytes for 8 pixels of 2 bits, which take 2"),
        (_packed(b"\xff\xff", [[2, 4]], 3), "class 3 of 3"),
        (_packed(b"\xa5", [[2, 3]]), "fill-up bits of plane 0"),
        (_packed(b"\x00\x02", [[2, 3]], 3), "fill-up bits of plane 1"),
        (_packed(b"\x00", [[0, 8]]), "sides from 0 to 8"),
        (_packed(b"\x00", [[-2, -4]]), "sides from -4 to -2"),
        (_packed(b"\x00", [[1, 32_768]]), "sides from 1 to 32768"),
        (_packed(b"\x00", [[32_767, 32_767]] * 5), "5,368,381,445 pixels, more than 4,294,967,296"),
        (_packed(b"\x00", [[32_767, 32_767]]), "1 bytes for 1,073,676,289 pixels"),
        (_packed(b"\x00", [[2, 4]], 1), "1 bytes for 8 pixels of 0 bits, which take 0"),
        (_packed(b"", [[0, 4]], 1), "sides from 0 to 4"),
        (_packed(b"", [[32_767, 32_767]] * 5, 1), "5,368,381,445 pixels, more than 4,294,967,296"),
        (_packed(b"", [[2, 4]], 0), "0 classes, not 1 .. 256"),
        (_packed(b"\x00", [[2, 4]], 257), "257 classes"),
        (_packed(b"\x00", [[2, 4, 1]]), r"int32 \(1, 3\)"),
        (PackedLabelMaps(b"\x00", np.array([[2, 4]]), 2), "int64"),
        (PackedLabelMaps(b"", np.zeros((0, 2), dtype=np.int32), 2), "0 label maps"),
        (PackedLabelMaps(b"", np.ones((1_000_001, 2), dtype=np.int32), 2), "1,000,001 label maps"),
    ],
)
def test_what_came_over_the_wire_is_bounded(packed: PackedLabelMaps, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        unpack(packed)


def test_the_same_data_in_bounds_pass() -> None:
    assert unpack(_packed(b"\x00\xff", [[2, 4]], 3))[0].tolist() == [[2] * 4] * 2
    assert unpack(_packed(b"\xa4", [[2, 3]]))[0].tolist() == BINARY.tolist()
    with pytest.raises(ProtocolError):
        unpack(replace(pack([THREE], 4), classes=2))


@pytest.mark.parametrize(
    ("maps", "classes", "words"),
    [
        ([THREE], 2, "class 2 of 2"),
        ([BINARY], 1, "class 1 of 1"),
        ([BINARY], 0, "0 classes"),
        ([], 2, "0 label maps"),
        ([THREE], 300, "300 classes"),
    ],
)
def test_what_cannot_be_packed(maps: list[np.ndarray], classes: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        pack(maps, classes)


def _largest_memory(work: Callable[[], object]) -> tuple[int, object]:
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_what_travelled() -> None:
    """Of a hundred thousand announced images, and of binary maps of one bit a pixel."""
    shapes = np.full((100_000, 2), 100, np.int32)
    blank = PackedLabelMaps(b"", shapes, 1)
    needed, maps = _largest_memory(lambda: unpack(blank))
    assert needed < 25 * shapes.nbytes
    assert isinstance(maps, tuple)
    # 1 GB of pixels, none of which is made: to measure them or to pack them again.
    needed, _ = _largest_memory(lambda: (sizes_of(maps), pack(maps, 1)))
    assert needed < 25 * shapes.nbytes
    packed = PackedLabelMaps(bytes(4_000_000), np.full((3200, 2), 100, np.int32), 2)
    needed, _ = _largest_memory(lambda: unpack(packed))
    assert needed < 12 * len(packed.data)


def test_blank_label_maps_are_read_only() -> None:
    (blank,) = unpack(_packed(b"", [[2, 3]], 1))
    with pytest.raises(ValueError, match="read-only"):
        blank[0, 0] = 1
