"""The real `flwr run`, on a SuperLink of its own."""

import os
import re
from pathlib import Path

import pytest

from exactness import through_flower
from flower_dgan.exactness import TOLERANCE
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from local_flower import local_flower

ROOT = Path(__file__).resolve().parents[2]
SHORT = (
    "exchange.rounds=4 exchange.exchanges=2 exchange.generator_steps=2 exchange.batch_size=4 downstream.steps=2 "
    "downstream.seeds=1 output.synthetic_images=8 output.sample_interval=2"
)


@pytest.mark.slow
def test_main_job_and_a_wrong_number_of_nodes(tmp_path: Path) -> None:
    """The repository as a user runs it; then a partition that needs another number of nodes."""
    with local_flower(2) as flower:
        log = flower.run(ROOT, f"{SHORT} output.directory='{tmp_path / 'run'}'", timeout=300)
        metrics = read_metrics(tmp_path / "run")
        refused = flower.run(ROOT, f"{SHORT} partition=site output.directory='{tmp_path / 'no'}'", timeout=300)
    assert "round 4/4 | loss G" in log
    assert str(tmp_path / "run") in log
    assert [join.site for join in metrics.joins] == ["labels 0-4", "labels 5-9"]
    assert len(metrics.rounds) == 4
    assert all(not each.rejected for each in metrics.rounds)
    assert {result.row for result in metrics.tstr} >= {"Real-All", "Untrained", "DGAN"}
    assert "Train on synthetic, test on real" in (tmp_path / "run/report.md").read_text()
    assert "flwr federation simulation-config @none/default local --num-supernodes 10" in refused
    assert not (tmp_path / "no/generator.safetensors").exists()


@pytest.mark.slow
def test_the_example_of_a_plugin_author(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `pip install -e` would, PYTHONPATH lets every process find its module; the app bundle does not carry it."""
    example = ROOT / "simulations/own-networks"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(example), os.environ.get("PYTHONPATH", "")]))
    with local_flower(2) as flower:
        log = flower.flwr(["run", str(example), "local", "--stream"], timeout=300)
    (run,) = set(re.findall(r"Run directory: (\S+)", log))
    metrics = read_metrics(Path(run))
    assert "algorithm own_algorithm:Median" in log
    assert [join.site for join in metrics.joins] == ["large", "small"]
    assert [bool(each.rejected) for each in metrics.rounds] == [False] * 20
    assert len(list((Path(run) / "synthetic/images").iterdir())) == resolve("").output.synthetic_images


@pytest.mark.slow
def test_three_clients_twenty_rounds_are_the_reference() -> None:
    assert through_flower(3, 20) <= TOLERANCE


@pytest.mark.slow
def test_other_algorithms_are_their_references() -> None:
    """One with scores of common images, and one whose discriminators move, each by its own `flwr run`."""
    algorithms = ("algorithm=uagan data.condition=class", "algorithm=mdgan algorithm.swap_interval=2")
    assert through_flower(3, 5, algorithms) <= TOLERANCE
