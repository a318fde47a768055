"""The file that a deployed node's own draws follow from."""

import os
from pathlib import Path

import pytest

from flower_dgan.errors import ConfigError
from flower_dgan.names import file_stem
from flower_dgan.node.secret import derive_secret, read_secret, secret_of
from flower_dgan.node.simulation import simulating

OWN = {"data-path": "/data", "name": "clinic-a"}


def write(path: Path, content: bytes = bytes(range(32)), mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_deployed_node_makes_its_secret_once_for_its_owner_alone(own_home: Path) -> None:
    before = os.umask(0)
    try:
        first = secret_of(OWN, "clinic-a", "clinic-a", 3)
    finally:
        os.umask(before)
    path = own_home / "state/flower-dgan/secrets" / file_stem("clinic-a")
    assert [len(path.read_bytes()), path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777] == [
        32,
        0o600,
        0o700,
    ]
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert secret_of(OWN, "clinic-a", "clinic-a", 3) == first
    other = secret_of({**OWN, "name": "clinic-b"}, "clinic-b", "clinic-a", 3)
    assert len({first, other, 3}) == 3
    assert first.bit_length() > 200


def test_of_two_processes_that_make_a_secret_the_first_one_does(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes its own between the look and the link: both go on with that one."""
    path = own_home / "state/flower-dgan/secrets" / file_stem("clinic-a")
    link = os.link

    def late(source: Path, target: Path) -> None:
        write(path, b"x" * 32)
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert secret_of(OWN, "clinic-a", "clinic-a", 3) == derive_secret(b"x" * 32, "clinic-a", 3)


def test_simulated_nodes_and_the_embedded_digits_have_the_runs_seed(own_home: Path) -> None:
    part = {"partition-id": 0, "num-partitions": 2}
    assert secret_of(part, "0 of 2", "part-0", 7) == 7
    with simulating():
        assert secret_of(part, "0 of 2", "part-0", 7) == 7
    assert not (own_home / "state").exists()


def test_a_named_file_decides_with_name_and_seed_and_nothing_else(tmp_path: Path) -> None:
    """So a run that is repeated draws the same pairs, whatever identity its training has."""
    named = {"secret-file": str(write(tmp_path / "secret"))}
    copied = {**OWN, "secret-file": str(write(tmp_path / "copy"))}
    found = secret_of(named, "0 of 2", "part-0", 7)
    assert found == secret_of(copied, "clinic-a", "part-0", 7)
    others = [secret_of(named, "0 of 2", "part-1", 7), secret_of(named, "0 of 2", "part-0", 8)]
    assert len({found, *others, derive_secret(bytes(32), "part-0", 7)}) == 4
    # no two of these share what they are made of
    assert derive_secret(b"1" * 32, "1a", 1) != derive_secret(b"1" * 32, "a", 11)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (bytes(32), 0o604, r"open to other users \(mode 604\): chmod 600"),
        (bytes(32), 0o640, r"open to other users \(mode 640\)"),
        (bytes(31), 0o600, "has 31 bytes: it is to hold 32 to 4096"),
        (b"", 0o600, "has 0 bytes"),
        (bytes(5000), 0o600, "has more than 4096 bytes"),
    ],
)
def test_a_file_that_is_no_secret(tmp_path: Path, content: bytes, mode: int, reason: str) -> None:
    path = write(tmp_path / "secret", content, mode)
    with pytest.raises(ConfigError, match=f"{path} .*{reason}"):
        read_secret(path)


def test_no_file_a_folder_or_a_pipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        secret_of({"secret-file": str(tmp_path / "nowhere")}, "a", "a", 0)
    assert not list(tmp_path.iterdir())
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="is no plain file"):
            read_secret(path)


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"cannot keep its secret in .*secret-file="):
        secret_of(OWN, "clinic-a", "clinic-a", 0)
