import logging
from pathlib import Path

import pytest
import torch

from flower_dgan.federation.checkpoint import Checkpoint, Checkpoints

MINE, FOREIGN = "1" * 16, "2" * 16


def checkpoint(round_number: int, training: str = MINE) -> Checkpoint:
    tensors = {"network:a": torch.arange(5.0) + round_number, "steps": torch.tensor(round_number)}
    return Checkpoint(training, round_number, {"north": round_number}, [["north", "to node", 3]], tensors)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_the_newest_comes_back_as_it_was_and_two_are_kept(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest(MINE) is None
    for round_number in (1, 2, 5):
        checkpoints.save(checkpoint(round_number))
    assert checkpoints.rounds() == (2, 5)
    found = checkpoints.newest(MINE)
    assert found is not None
    assert (found.round_number, found.answered, found.ledger) == (5, {"north": 5}, [["north", "to node", 3]])
    torch.testing.assert_close(found.tensors, dict(checkpoint(5).tensors), rtol=0, atol=0)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def make_foreign(path: Path) -> None:
    other = Checkpoints(path.parent.parent / "other")
    other.save(checkpoint(5, FOREIGN))
    (path.parent.parent / "other" / path.name).replace(path)


@pytest.mark.parametrize("spoil", [cut, flip_a_bit, empty, make_foreign])
def test_a_torn_or_foreign_one_is_named_and_the_one_before_it_used(
    checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: object
) -> None:
    for round_number in (4, 5):
        checkpoints.save(checkpoint(round_number))
    path = tmp_path / "checkpoints/00000005.safetensors"
    spoil(path)  # type: ignore[operator]
    with caplog.at_level(logging.WARNING, logger="flwr"):
        found = checkpoints.newest(MINE)
    assert found is not None
    assert found.round_number == 4
    assert f"{path} is not used" in caplog.text
