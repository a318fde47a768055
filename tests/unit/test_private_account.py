"""What report and page say of the cost of private steps: against the accountant by itself."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from flower_dgan.algorithms.dpgan import COUNT_NOISE, DpGan
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import Config
from flower_dgan.errors import ConfigError
from flower_dgan.federation import private_account
from flower_dgan.federation.private_account import account_of, say_account
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.privacy.accountant import Release, epsilon_together
from flower_dgan.report.markdown import render_report
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.status_records import StageBegin


def training() -> tuple[DpGan, Config]:
    """Return one of 5 rounds of 2 x 4 steps."""
    config = resolve(
        "privacy=dp-sgd data.condition=class data.classes=10 downstream=none exchange.rounds=5 exchange.exchanges=2 "
        "exchange.generator_steps=1 algorithm.discriminator_steps=4 algorithm.share=0.5"
    )
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpGan)
    return algorithm, config


def test_what_was_done_costs_what_the_accountant_says() -> None:
    algorithm, config = training()
    found = account_of(algorithm, config, "a", 2)
    assert (found.planned, found.done, found.share, found.epsilon, found.delta) == (40, 16, 0.5, 3.0, 1e-5)
    assert found.sigma is not None
    together = epsilon_together([Release(COUNT_NOISE), Release(found.sigma, 0.5, 16)], 1e-5, "RDP")
    assert found.spent == pytest.approx(together, rel=1e-9)
    assert account_of(algorithm, config, "a", 5).spent == pytest.approx(3, rel=0.005)
    assert account_of(algorithm, config, "a", 0).spent == 0.0


def test_without_an_accountant_the_plan_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has no need of it: nodes charge by their own."""

    def missing(*_: object) -> float:
        raise ConfigError("Opacus is not installed")

    monkeypatch.setattr("flower_dgan.algorithms.dpgan.noise_of_steps", missing)
    found = account_of(*training(), "a", 2)
    assert (found.sigma, found.spent, found.done, found.epsilon) == (None, None, 16, 3.0)


def test_a_client_has_one_row_with_what_was_said_last(tmp_path: Path) -> None:
    algorithm, config = training()
    directory = RunDirectory.open(replace(config, output=replace(config.output, directory=str(tmp_path / "run"))), 1)
    directory.events.write(StageBegin("training", 1))
    say_account(algorithm, config, directory, ["a"])
    say_account(algorithm, config, directory, ["a", "b"])
    metrics = read_metrics(directory.path)
    assert [each.site for each in metrics.private_steps] == ["a", "a", "b"]
    report = render_report(metrics, "")
    assert report.count("| a | 3 | 0 | 1e-05 |") == 1
    assert "| 0 of 40 |" in report
    assert "## Differential privacy" in report


def test_what_cannot_be_written_down_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    algorithm, config = training()
    directory = RunDirectory.open(replace(config, output=replace(config.output, directory=str(tmp_path / "run"))), 1)
    (directory.path / "metrics.jsonl").write_text("no line of ours\n")
    with caplog.at_level(logging.WARNING, private_account.logger.name):
        say_account(algorithm, config, directory, ["a"])
    assert "was not written down" in caplog.text
