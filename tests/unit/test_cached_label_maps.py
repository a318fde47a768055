"""The server's cache of label maps: private, and it ends."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from flower_dgan.data import content_hash, pack
from flower_dgan.errors import ConfigError
from flower_dgan.federation.cached_label_maps import KEPT_DAYS, read_cached, tidy, write_cached

PACKED = pack((np.ones((3, 4), np.uint8), np.zeros((2, 2), np.uint8)), 2)
DAY = 24 * 3600


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_entries_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_cached(tmp_path / "cache" / "a.npz", PACKED)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "cache"), mode(tmp_path / "cache" / "a.npz")) == (0o700, 0o600)
    assert content_hash(read_cached(tmp_path / "cache" / "a.npz")) == content_hash(PACKED)
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["a.npz"]


def test_what_was_there_becomes_private_and_what_is_old_goes(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name, days in (("new", 0), ("used", KEPT_DAYS - 1), ("old", KEPT_DAYS + 1)):
        np.savez(tmp_path / f"{name}.npz", x=1)
        (tmp_path / f"{name}.npz").chmod(0o644)
        age(tmp_path / f"{name}.npz", days)
    (tmp_path / "torn-12.partial").touch()
    age(tmp_path / "torn-12.partial", KEPT_DAYS + 1)
    tidy(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.npz", "used.npz"]
    assert [mode(path) for path in (tmp_path, *tmp_path.iterdir())] == [0o700, 0o600, 0o600]


def test_an_entry_that_is_used_stays(tmp_path: Path) -> None:
    write_cached(tmp_path / "a.npz", PACKED)
    age(tmp_path / "a.npz", KEPT_DAYS + 1)
    read_cached(tmp_path / "a.npz")
    tidy(tmp_path)
    assert (tmp_path / "a.npz").is_file()


def test_there_need_be_no_cache(tmp_path: Path) -> None:
    tidy(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_cache_of_somebody_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigError, match=f"cannot be made private: .*Delete {tmp_path}"):
        tidy(tmp_path)
