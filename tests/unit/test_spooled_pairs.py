"""A deployed node's pairs that are too many for memory: kept and named as if they had been loaded."""

import mmap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flower_dgan.data import Entry, FolderSource, Pairs
from flower_dgan.data.label_maps import pack, unpack
from flower_dgan.errors import StorageError
from flower_dgan.node import mapped_arrays, spooled_pairs
from flower_dgan.node.kept_pairs import digest, keep_pairs, kept_pairs
from flower_dgan.node.mapped_arrays import MappedArrays
from flower_dgan.node.spooled_pairs import SpooledPairs, load_or_spool
from flower_dgan.resolve import resolve
from tests.pairs import make_folder


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderSource:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = make_folder(tmp_path / "data", sites=2, images=5)
    return FolderSource(replace(resolve("data=folder").data, root=str(root)))


def test_what_is_spooled_is_what_would_be_loaded(
    source: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_or_spool(source, source.train, 3)
    assert type(loaded) is Pairs
    monkeypatch.setattr(spooled_pairs, "LARGE", len(source.train) * 64 * 64 * 4)
    monkeypatch.setattr(spooled_pairs, "_PART", 3)
    asked: list[int] = []

    class Counted:
        classes, image_classes, train, test = source.classes, 0, source.train, source.test

        def load(self, entries: Sequence[Entry]) -> Pairs:
            asked.append(len(entries))
            return source.load(entries)

    spooled = load_or_spool(Counted(), source.train, 3)
    assert isinstance(spooled, SpooledPairs)
    assert asked == [3, 3, 3, 1]
    for mine, theirs in ((spooled.images, loaded.images), (spooled.label_maps, loaded.label_maps)):
        assert [array.shape for array in mine] == [array.shape for array in theirs]
        assert all((a == b).all() for a, b in zip(mine, theirs, strict=True))
    assert list((tmp_path / "state" / "flower-dgan").iterdir()) == []  # files without a name
    assert digest(spooled) == digest(loaded)
    for name, pairs in (("mine", spooled), ("theirs", loaded)):
        (tmp_path / name).mkdir()
        keep_pairs(tmp_path / name, pairs)
        assert digest(kept_pairs(tmp_path / name, 2)) == digest(loaded)
    for file in (tmp_path / "theirs").iterdir():
        assert (tmp_path / "mine" / file.name).read_bytes() == file.read_bytes()


def test_no_room_for_the_files(source: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled_pairs, "LARGE", 1)
    (tmp_path / "state").write_text("no directory")
    with pytest.raises(StorageError, match=r"cannot keep its pairs in .*state/flower-dgan"):
        load_or_spool(source, source.train, 3)


@pytest.mark.parametrize("classes", [2, 3, 17])
def test_label_maps_of_any_size_are_packed_bit_by_bit(classes: int) -> None:
    """3 + 8 + 35 + 1 pixels, so that bytes hold the end of one map and the start of another."""
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, classes, shape, dtype=np.uint8) for shape in ((1, 3), (2, 4), (5, 7), (1, 1))]
    packed = pack(maps, classes)
    bits = (classes - 1).bit_length()
    assert len(packed.data) == bits * 6
    flat = np.concatenate([each.ravel() for each in maps])
    assert packed.data == b"".join(np.packbits((flat >> bit) & 1).tobytes() for bit in range(bits))
    assert all((a == b).all() for a, b in zip(unpack(packed), maps, strict=True))


def test_pages_are_let_go_and_arrays_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_arrays, "GIVEN", 3 * 8192)
    let_go: list[int] = []

    class Watched(mmap.mmap):
        def madvise(self, option: int, *rest: int) -> None:
            let_go.append(option)
            super().madvise(option, *rest)

    monkeypatch.setattr(mmap, "mmap", Watched)
    content = np.random.default_rng(0).integers(0, 256, 10 + 10 * 8192, dtype=np.uint8)
    (tmp_path / "file").write_bytes(content.tobytes())
    with (tmp_path / "file").open("rb") as file:
        arrays = MappedArrays(file, [(64, 128)] * 10, 10)
    expected = content[10:].reshape(10, 64, 128)
    assert len(arrays) == 10
    held = [arrays[place] for place in (9, 0)]
    assert let_go == []
    held += list(arrays)
    # the third that is given out, and each second after it, as one is in use by then
    assert let_go == [mmap.MADV_DONTNEED] * 5
    for found, place in zip(held, (9, 0, *range(10)), strict=True):
        assert (found == expected[place]).all()
    assert [array.tolist() for array in arrays[2:4]] == expected[2:4].tolist()
    assert not arrays[0].flags.writeable
