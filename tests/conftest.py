"""Shared fixtures: no test touches the user's own data, cache or Flower home."""

from pathlib import Path

import pytest
import torch

# Small networks gain nothing from more, and threads that wait for each other are slow where cores are shared.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own user directories, and switch telemetry off."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("FLWR_HOME", str(home / "flwr"))
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    return home
