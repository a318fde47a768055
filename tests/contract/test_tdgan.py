"""Tasks that come one after the other, through the real strategy and ClientApp, against the plain loop."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flower_dgan.algorithms.tdgan import Reminder
from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.exactness import exactness_overrides
from flower_dgan.federation.job import run_job
from flower_dgan.federation.previous_task import LABEL_MAPS, read_label_maps_of_run
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wiring import bundle_settings
from tests.reference.runs import TOLERANCE, largest_relative_difference, train_reference

ROUNDS = 5
TASKS = ("[[0,1],[2]]", "[[3,4]]", "[[5],[6,7]]")


def overrides(directory: Path, groups: str, previous: Path | None) -> str:
    task = f"algorithm=tdgan-small partition=label partition.label_groups={groups}"
    before = "" if previous is None else f"algorithm.previous='{previous}'"
    return exactness_overrides(ROUNDS, directory, f"{task} {before}")


def run(directory: Path, groups: str, previous: Path | None, extra: str = "") -> None:
    given = f"{overrides(directory, groups, previous)} {extra}"
    run_job(InProcessGrid(app, simulated_contexts(groups.count("],") + 1, given)), resolve(given), 0)


def test_three_tasks_are_the_loop(tmp_path: Path) -> None:
    """Each starts from the generator before, whose clients are gone, and is reminded of all earlier label maps."""
    network, labels = None, []
    for number, groups in enumerate(TASKS):
        previous = tmp_path / f"task-{number - 1}" if number else None
        directory = tmp_path / f"task-{number}"
        run(directory, groups, previous)
        config, clients = resolve(overrides(directory, groups, previous)), groups.count("],") + 1
        federation = open_federation(config, clients)
        loop = train_reference(config, clients, before=None if network is None else (network, labels))
        network = load_generator(directory / "generator.safetensors")[0]
        assert largest_relative_difference(network.state_dict(), loop.generator) <= TOLERANCE
        network.load_state_dict(loop.generator)
        labels = [*labels, *federation.labels]
        assert [each.name for each in read_label_maps_of_run(directory / LABEL_MAPS)] == [each.name for each in labels]
        assert {join.site for join in read_metrics(directory).joins} == {each.name for each in federation.labels}


def test_reminding_changes_the_second_task_alone(tmp_path: Path) -> None:
    run(tmp_path / "first", TASKS[0], None)
    run(tmp_path / "without", TASKS[1], tmp_path / "first", "algorithm.reminding_l1_weight=0")
    run(tmp_path / "with", TASKS[1], tmp_path / "first")
    first, without, reminded = (
        load_generator(tmp_path / name / "generator.safetensors")[0].state_dict()
        for name in ("first", "without", "with")
    )
    assert (first["leave.weight"] - without["leave.weight"]).abs().max() > 1e-3
    assert (reminded["leave.weight"] - without["leave.weight"]).abs().max() > 1e-4


def test_the_reminding_loss_is_the_distance_to_the_generator_before() -> None:
    class Brightness(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(value))

        def forward(self, inputs: object) -> torch.Tensor:
            return self.value.expand(4, 1, 32, 32)

    config = resolve("algorithm=tdgan-small partition=iid")
    labels, settings = open_federation(config, 2).labels, bundle_settings(config)
    reminder = Reminder(Brightness(0.25), labels, settings, 4.0, 3.0, lambda a, b: (a - b).square().flatten(1).mean(1))
    now = Brightness(0.75)
    loss = reminder.loss(now, 7)
    # 4 |0.75 - 0.25| + 3 (0.75 - 0.25)^2; its derivative is 4 + 6 (0.75 - 0.25)
    torch.testing.assert_close(loss.detach(), torch.tensor(2.75))
    loss.backward()
    torch.testing.assert_close(now.value.grad, torch.tensor(7.0))
    assert replace(reminder, l1_weight=0.0).loss(now, 7).item() == pytest.approx(0.75)


def test_what_cannot_be_the_task_before(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no generator at"):
        run(tmp_path / "run", TASKS[0], tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()
    run(tmp_path / "first", TASKS[0], None)
    with pytest.raises(ConfigError, match="a task keeps the networks"):
        run(tmp_path / "run", TASKS[1], tmp_path / "first", "model.generator_width=16")
    with pytest.raises(ConfigError, match=r"wants model.site_condition=false"):
        run(tmp_path / "run", TASKS[1], tmp_path / "first", "model.site_condition=true")
    with pytest.raises(ConfigError, match=r"had data.image_size=32, not 16"):
        run(tmp_path / "run", TASKS[1], tmp_path / "first", "data.image_size=16")
    (tmp_path / "first" / LABEL_MAPS).write_bytes(b"something else")
    with pytest.raises(DataError, match="does not hold the label maps of a run"):
        run(tmp_path / "other", TASKS[1], tmp_path / "first")
