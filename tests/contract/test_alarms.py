"""Alarms in runs of the real strategy and the real ClientApp."""

import numpy as np
import pytest
import torch
from flwr.app import Array, Context, Error, Message

from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.report.run_metrics import read_metrics

from .conftest import Federation, Reply, TamperedApp

SHIPPED = "partition=label exchange.rounds=8 exchange.exchanges=8 exchange.batch_size=8 exchange.generator_steps=2"
WON = (
    "exchange.rounds=10 exchange.exchanges=8 model.site_condition=false "
    "algorithm.discriminator_steps=4 algorithm.discriminator_learning_rate=0.002 algorithm.generator_learning_rate=1e-6"
)


def begun(run: RunDirectory, name: str) -> list[tuple[str, int, int]]:
    """Return client, first round and round of saying of each alarm of a name that began."""
    found = read_metrics(run.path).alarms
    return [(each.site, each.since, each.round) for each in found if each.begins and each.name == name]


def test_the_defaults_for_digits_raise_none(federation: Federation) -> None:
    run = federation.run(SHIPPED)
    metrics = read_metrics(run.path)
    assert len(metrics.rounds) == 8
    assert metrics.alarms == ()
    assert "## Alarms\n\nnone\n" in (run.path / "report.md").read_text()


@pytest.mark.parametrize("schedule", ["synchronous", "asynchronous"])
def test_a_discriminator_that_wins_is_named(federation: Federation, schedule: str) -> None:
    run = federation.run(f"{WON} schedule={schedule}")
    won = begun(run, "D has won")
    assert sorted({site for site, *_ in won}) == ["part-0", "part-1"]
    rounds = read_metrics(run.path).rounds
    for site, since, said in won:
        losses = {each.round: each.clients[site].discriminator_loss for each in rounds if site in each.clients}
        before = [loss for number, loss in losses.items() if number < since]
        during = [loss for number, loss in losses.items() if since <= number <= said]
        assert len(during) == 3
        assert before[-1] >= 0.05 * 1.3863 > max(during)
    report = (run.path / "report.md").read_text()
    assert report.count("| D has won | part-") == len(won)


@pytest.mark.parametrize("from_the_beginning", [False, True])
def test_an_alarm_is_said_once_over_a_restart(federation: Federation, from_the_beginning: bool) -> None:
    """Where no checkpoint is left the training begins again, and so does the alarm."""

    class PowerCutError(BaseException):
        """What no ClientApp and no grid turns into a reply."""

    def won(message: Message, context: Context, reply: Reply) -> Message:
        answer = reply(message, context)
        if "metrics" in answer.content and context.node_config["partition-id"] == 0:
            number = int(message.metadata.group_id)
            answer.content["metrics"]["discriminator-loss"] = 0.01 if number < 7 else 1.0
            losses = answer.content["feedback"]["losses"]  # of a score of -10, where the loss is 10
            answer.content["feedback"]["losses"] = Array(np.full_like(losses.numpy(), 10.0))
        return answer

    def cut(message: Message, context: Context, reply: Reply) -> Message:
        if message.metadata.group_id == "5":
            raise PowerCutError
        return won(message, context, reply)

    asked = "exchange.rounds=8 output.checkpoint_interval=0"
    with pytest.raises(PowerCutError):
        federation.run(asked, client_app=TamperedApp(cut))
    if from_the_beginning:
        for file in (federation.directory / "checkpoints").iterdir():
            file.unlink()
    run = federation.run(f"{asked} resume='{federation.directory}'", client_app=TamperedApp(won))
    found = read_metrics(run.path).alarms
    assert [(each.site, each.since, each.round, each.begins) for each in found] == [
        ("part-0", 1, 3, True),
        ("part-0", 1, 7, False),
    ]


def test_images_that_saturate_are_named(federation: Federation) -> None:
    """Adam's first step moves each weight by its rate: 3 drives every pixel to an end."""
    run = federation.run("algorithm.generator_learning_rate=3 algorithm.average_decay=0")
    assert begun(run, "images saturate") == [("part-0", 1, 1), ("part-1", 1, 1)]


def kinds(run: RunDirectory) -> set[tuple[str, str]]:
    return {(alarm.name, alarm.site) for alarm in read_metrics(run.path).alarms}


def test_noise_that_does_not_reach_the_generator_is_named(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *size, **options: torch.zeros_like(real(*size, **options)))
    run = federation.run("exchange.rounds=3")
    assert kinds(run) == {("draws collapse", "part-0"), ("draws collapse", "part-1")}
    assert begun(run, "draws collapse") == [("part-0", 1, 1), ("part-1", 1, 1)]


def test_a_client_that_falls_silent_is_named(federation: Federation) -> None:
    def frozen(message: Message, context: Context, reply: Reply) -> Message:
        if message.metadata.message_type.startswith("train") and context.node_config["partition-id"] == 0:
            return Message(Error(code=0, reason="it hangs"), reply_to=message)
        return reply(message, context)

    run = federation.run("exchange.rounds=5", clients=3, client_app=TamperedApp(frozen))
    assert kinds(run) == {("a client is missing", "part-0")}
    assert begun(run, "a client is missing")[0][1] <= 4
