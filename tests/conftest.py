"""Shared fixtures: no test touches the user's own data, cache or Flower home."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Small networks gain nothing from more, and threads that wait for each other are slow where cores are shared.
torch.set_num_threads(1)

# What a run computes is held bit by bit against loops on the CPU, on a machine with a GPU too.
os.environ["FLOWER_DGAN_DEVICE"] = "cpu"


def move_to(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the process user directories in ``home``, and switch telemetry off."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("FLWR_HOME", str(home / "flwr"))
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    return home


@pytest.fixture(scope="session", autouse=True)
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give what several tests share user directories of its own."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield move_to(tmp_path_factory.mktemp("shared-home"), monkeypatch)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own user directories."""
    return move_to(tmp_path_factory.mktemp("home"), monkeypatch)


class ByFile(LoadFileScheduling):
    """Keep a file's tests in one of several processes, as they share fixtures, and all that start Flower in one.

    Two federations at once would each have half of the machine, which is not what their timeouts were chosen for.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "flower" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Share the tests out in the order of their files: those that start Flower last longest, and few start before."""
    config.option.loadscopereorder = False
    return ByFile(config, log)
