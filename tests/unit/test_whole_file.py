"""Files that are complete or not there."""

import os
from pathlib import Path

import pytest

from flower_dgan.whole_file import whole_file


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
