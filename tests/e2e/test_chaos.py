"""Processes of a deployment are killed, and the training ends where the undisturbed one does."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(("registered", "seed"), [(True, 6), (False, 17)])
def test_three_kills_change_nothing(
    registered: bool, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node without a key is another one for Flower when it is started again: its token tells whose it is.

    Seed 17 kills a SuperNode, then an executor, then a ClientApp.
    """
    _train(tmp_path, monkeypatch, registered=registered, seed=seed)


@pytest.mark.slow
def test_kills_of_the_process_that_stays_at_a_node_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train(tmp_path, monkeypatch, seed=1, kinds="ClientApp")


def _train(folder: Path, monkeypatch: pytest.MonkeyPatch, **chosen: object) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    importlib.import_module("chaos").main(folder / "found.json", kills=3, rounds=8, **chosen)
    found = json.loads((folder / "found.json").read_text())
    assert sum(found["killed"].values()) == 3
    assert found["largest_relative_difference"] == 0
    assert found["rounds_once_each"]
    assert found["exchanges"] == {"part-0": 8, "part-1": 8}
