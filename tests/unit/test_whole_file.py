"""Files that are complete or not there."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flower_dgan.errors import StorageError
from flower_dgan.private import private_directory
from flower_dgan.whole_file import append_line, whole_file
from tests.small_disk import small_disk


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "round.json"
    path.write_text("before")

    def fail() -> None:
        with whole_file(path) as partial:
            partial.write_text("ha")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert path.read_text() == "before"
    with whole_file(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("round.json", "after")]


def test_two_processes_write_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "maps.npz"
    with whole_file(path, shared=True) as first:
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with whole_file(path, shared=True) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("maps.npz", "first")]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_private_file_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """Also while it is written, by whatever writes it, and where a partial one of an earlier time is there."""
    before = os.umask(umask)
    try:
        for name, write in (
            ("a.npz", lambda path: np.savez(path.open("wb"), x=np.zeros(3))),
            ("b.safetensors", lambda path: save_file({"x": torch.zeros(3)}, path)),
        ):
            (tmp_path / name).with_suffix(".partial").touch(mode=0o644)
            with whole_file(tmp_path / name, private=True) as partial:
                assert partial.stat().st_mode & 0o777 == 0o600
                write(partial)
                assert partial.stat().st_mode & 0o777 == 0o600
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        (tmp_path / "there").mkdir(mode=0o755)
        for directory in (tmp_path / "there", tmp_path / "new" / "one"):
            private_directory(directory)
            assert directory.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_a_line_that_finds_half_its_room_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """The page of the first line has room for some of the second, which a buffer would write when it is closed."""
    with small_disk(tmp_path / "disk") as disk:
        file = disk.path / "lines"
        append_line(file, "first")
        disk.fill()
        for size in (6000, 20_000):
            with pytest.raises(StorageError, match="No space left on device"):
                append_line(file, "x" * size)
            assert file.read_text() == "first\n"
        append_line(file, "third")
        assert file.read_text() == "first\nthird\n"
