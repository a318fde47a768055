"""The runs of a sweep against the plain loop, which `flwr run` is held against in ``tests/e2e``."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flower_dgan.exactness import exactness_overrides
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.sweep import multirun
from tests.reference.runs import TOLERANCE, largest_relative_difference, train_reference


def difference(directory: Path, overrides: list[str], clients: int) -> float:
    network, _, _ = load_generator(directory / "generator.safetensors")
    loop = train_reference(resolve(" ".join(overrides)), clients)
    return largest_relative_difference(network.state_dict(), loop.generator)


def exact(rounds: int) -> list[str]:
    """Return the overrides of the check of exactness, without the run directory, which is the sweep's to choose."""
    return [each for each in exactness_overrides(rounds, Path("/none")).split() if "output.directory" not in each]


def test_a_launcher_of_hydras_own_trains_what_the_loop_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = f"hydra.sweep.dir={tmp_path}"
    given = [*exact(3), "sweep.clients=2", "seed=0,1", "hydra/launcher=basic", directory]
    monkeypatch.setattr(sys, "argv", ["sweep", "-m", *given])
    multirun.main()
    for seed in (0, 1):
        assert difference(tmp_path / f"seed={seed}", [*exact(3), f"seed={seed}"], 2) <= TOLERANCE
    assert "2 of 2 runs finished" in (tmp_path / "sweep.md").read_text()


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_ends_with_the_same_generators(tmp_path: Path) -> None:
    """Killed amid its runs; they go on from their checkpoints, and end as the loop does."""
    rounds = 24
    overrides = [*exact(rounds), "output.checkpoint_interval=0"]
    sweep_directory = tmp_path / "sweep"
    given = [*overrides, "sweep.clients=2", "seed=0,1,2", f"hydra.sweep.dir={sweep_directory}"]
    command = [sys.executable, "-m", "flower_dgan.sweep", "-m", *given, "hydra.launcher.jobs=2"]

    def rounds_done() -> int:
        return sum(file.read_text().count('"kind": "round"') for file in sweep_directory.glob("*/metrics.jsonl"))

    first = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while rounds_done() < 8:
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    subprocess.run(command, check=True, timeout=300)
    for seed in range(3):
        directory = sweep_directory / f"seed={seed}"
        assert difference(directory, [*overrides, f"seed={seed}"], 2) <= TOLERANCE
        assert [each.round for each in read_metrics(directory).rounds] == list(range(1, rounds + 1))
    attempts = [json.loads((sweep_directory / f"seed={s}/training.json").read_text())["attempt"] for s in range(3)]
    assert max(attempts) == 2
    assert attempts[2] == 1
