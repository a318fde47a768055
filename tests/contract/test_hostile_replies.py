"""One client of three says what is allowed and absurd: the others' generator stays sound, and the report says who."""

import json
import logging
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Context, Error, Message
from safetensors.torch import load_file

from flower_dgan.errors import FederationError
from flower_dgan.federation import run_end
from flower_dgan.federation.checkpoint import Checkpoints
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.wire.question_message import EXCHANGE

from .conftest import Federation, Reply, TamperedApp

HUGE = np.finfo(np.float32).max / 2
BAD = "part-1"
THREE = "partition=iid exchange.feedback_format=float32 output.checkpoint_interval=0"


def tampered(change: Callable[[Message], object], *rounds: str) -> TamperedApp:
    """Return an app whose second node answers some rounds with a changed reply."""

    def tamper(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == EXCHANGE and context.node_id == 2 and message.metadata.group_id in rounds:
            changed = change(reply)
            return changed if isinstance(changed, Message) else reply
        return reply

    return TamperedApp(tamper)


def say(record: str, key: str, value: float) -> Callable[[Message], None]:
    """Return a change that fills an array of a reply with one number, or sets a metric."""

    def change(reply: Message) -> None:
        part = reply.content[record]
        if isinstance(part, ArrayRecord):
            given = part[key].numpy()
            part[key] = Array(np.full(given.shape, value, given.dtype))
        else:
            part[key] = value

    return change


def shout(reply: Message) -> None:
    """Say everything as loudly as it may be said."""
    for record, key in (("feedback", "gradients"), ("feedback", "losses")):
        say(record, key, HUGE)(reply)
    for name in reply.content.get("discriminator", ()):
        say("discriminator", name, HUGE)(reply)
    if "change" in reply.content:
        entries = zlib.decompress(reply.content["change"]["entries"].numpy().tobytes())
        loud = np.full(len(entries) // 4, HUGE, np.float32)
        reply.content["change"]["entries"] = Array(np.frombuffer(zlib.compress(loud.tobytes()), np.uint8))


class PowerCutError(BaseException):
    """What no ClientApp and no grid turns into a reply."""


def cut(_: Message) -> None:
    raise PowerCutError


def newest(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(sorted((directory / "checkpoints").glob("*.safetensors"))[-1])


def bounded(metrics: RunMetrics) -> dict[str, list[int]]:
    """Return the rounds in which each client was bounded."""
    found: dict[str, list[int]] = {}
    for each in metrics.rounds:
        for name, client in each.clients.items():
            if client.bounded:
                found.setdefault(name, []).append(each.round)
    return found


@pytest.mark.parametrize(
    "algorithm",
    [
        "algorithm=dgan",
        "algorithm=dgan algorithm.merge=agreement",
        "algorithm=dgan algorithm.replay=target algorithm.target_step=0.15",
        "algorithm=uagan",
        "algorithm=gman algorithm.loss=least-squares",
        "algorithm=dgan-average",
        "algorithm=mdgan algorithm.swap_interval=1",
        "algorithm=dgan-selective",
    ],
)
@pytest.mark.parametrize("first", [1, 3])
def test_a_huge_reply_does_not_ruin_the_generator(federation: Federation, algorithm: str, first: int) -> None:
    """Whether it comes when nothing is known of the client, or when it was honest for two rounds."""
    run = federation.run(f"{THREE} {algorithm} exchange.rounds=4", clients=3, client_app=tampered(shout, str(first)))
    kept = newest(run.path)
    assert all(bool(value.isfinite().all()) for value in kept.values())
    squares = [value for name, value in kept.items() if name.endswith("exp_avg_sq")]
    assert squares
    # Without the bound they are beyond 1e30, or infinite, and the generator never moves again.
    assert max(float(value.max()) for value in squares) < 1e4
    metrics = read_metrics(run.path)
    assert bounded(metrics) == {BAD: [first]}
    assert all(each.rejected == {} for each in metrics.rounds)
    assert f"| {BAD} | feedback or weights scaled down | 1 | " in (run.path / "report.md").read_text()


@pytest.mark.parametrize("clients", [1, 2])
def test_with_one_or_two_clients_the_past_of_each_holds_it(federation: Federation, clients: int) -> None:
    def shouts(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == EXCHANGE and (context.node_id, message.metadata.group_id) == (clients, "3"):
            shout(reply)
        return reply

    run = federation.run(f"{THREE} exchange.rounds=4", clients=clients, client_app=TamperedApp(shouts))
    kept = newest(run.path)
    assert max(float(v.max()) for name, v in kept.items() if name.endswith("exp_avg_sq")) < 1e4
    assert bounded(read_metrics(run.path)) == {f"part-{clients - 1}": [3]}


def test_honest_clients_are_never_bounded(federation: Federation) -> None:
    run = federation.run("exchange.rounds=6")
    metrics = read_metrics(run.path)
    assert bounded(metrics) == {}
    assert sum(each.bounded_together for each in metrics.rounds) == 0
    assert "## Bounds that applied\n\nnone" in (run.path / "report.md").read_text()


@pytest.mark.parametrize("algorithm", ["dgan", "uagan", "mdgan algorithm.swap_interval=1", "dgan-selective"])
def test_what_is_known_of_the_clients_survives_a_resume(federation: Federation, algorithm: str) -> None:
    """Round 4 has a huge reply, the bound of which is made of rounds 1 to 3, also where it begins with a resume."""
    settings = f"{THREE} algorithm={algorithm} exchange.rounds=4"
    undisturbed = federation.run(settings, clients=3, client_app=tampered(shout, "4")).path
    federation.directory = federation.directory.with_name("resumed")

    with pytest.raises(PowerCutError):
        federation.run(settings, clients=3, client_app=tampered(cut, "4"))
    overrides = f"{settings} resume='{federation.directory}'"
    resumed = federation.run(overrides, clients=3, client_app=tampered(shout, "4")).path
    # All but the rows of the ledger: parameters, moments, and what is known of the clients.
    torch.testing.assert_close(newest(resumed), newest(undisturbed), rtol=0, atol=0)
    assert bounded(read_metrics(resumed)) == {BAD: [4]}
    assert any(name.startswith("past-") for name in newest(resumed))


def test_a_checkpoint_of_an_earlier_version_knows_no_past(federation: Federation) -> None:
    settings = f"{THREE} exchange.rounds=3"
    with pytest.raises(PowerCutError):
        federation.run(settings, clients=3, client_app=tampered(cut, "3"))
    checkpoints = Checkpoints(federation.directory / "checkpoints")
    kept = checkpoints.newest(json.loads((federation.directory / "training.json").read_text())["identity"])
    assert kept is not None
    tensors = {name: value for name, value in kept.tensors.items() if not name.startswith("past-")}
    assert len(tensors) < len(kept.tensors)
    checkpoints.save(replace(kept, tensors=tensors))
    run = federation.run(f"{settings} resume='{federation.directory}'", clients=3)
    assert [each.round for each in read_metrics(run.path).rounds] == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "settings", "reason"),
    [
        (say("metrics", "busy-seconds", -1e308), "", "'busy-seconds' is -1e+308"),
        (say("metrics", "compute-seconds", 1e300), "", "'compute-seconds' is 1e+300"),
        (say("metrics", "peak-memory-mib", -1.0), "", "'peak-memory-mib' is -1.0"),
        (say("metrics", "discriminator-loss", 1e308), "", "'discriminator-loss' is 1e+308"),
    ],
)
def test_metrics_out_of_their_range_are_that_clients_fault(
    federation: Federation, change: Callable[[Message], None], settings: str, reason: str
) -> None:
    metrics = read_metrics(federation.run(f"{THREE} {settings}", clients=3, client_app=tampered(change, "1")).path)
    assert set(metrics.rounds[0].clients) == {"part-0", "part-2"}
    assert reason in metrics.rounds[0].rejected[BAD]
    assert len(metrics.rounds[1].clients) == 3


def test_the_largest_finite_numbers_end_no_run(federation: Federation, drawn_figures: None) -> None:
    """Losses and metrics at the end of their ranges, in every round, in a report whose figures are drawn."""

    def everything(reply: Message) -> None:
        shout(reply)
        for key, value in (("discriminator-loss", -2 * HUGE), ("busy-seconds", 1e8), ("peak-memory-mib", 1e9)):
            say("metrics", key, float(value))(reply)

    run = federation.run(f"{THREE} algorithm=gman", clients=3, client_app=tampered(everything, "1", "2"))
    assert (run.path / "curves.png").stat().st_size > 0
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert "Infinity" not in json.dumps(lines)


def many_records(reply: Message) -> None:
    for number in range(20_000):
        reply.content[f"record-{number}"] = ArrayRecord({"x": Array(np.zeros(1, np.float32))})


def many_words(reply: Message) -> Message:
    return Message(Error(code=1000, reason="x" * 5_000_000), reply_to=reply_to(reply))


def reply_to(reply: Message) -> Message:
    """Return a message that an answer can be made to, as the reply was."""
    message = Message(reply.content, dst_node_id=reply.metadata.src_node_id, message_type=EXCHANGE)
    message.metadata.__dict__["_message_id"] = reply.metadata.reply_to_message_id
    message.metadata.__dict__["_group_id"] = reply.metadata.group_id
    return message


@pytest.mark.parametrize("change", [many_records, many_words])
def test_neither_records_nor_reasons_fill_the_report(
    federation: Federation, change: Callable[[Message], object]
) -> None:
    run = federation.run(THREE, clients=3, client_app=tampered(change, "1"))
    metrics = read_metrics(run.path)
    assert len(metrics.rounds[0].rejected[BAD]) < 400
    assert (run.path / "report.md").stat().st_size < 100_000
    assert sum(file.stat().st_size for file in (run.path / "checkpoints").iterdir()) < 5_000_000
    rows = [(each.record, each.key, each.messages) for each in metrics.records if each.site == BAD]
    assert len(rows) < 60
    if change is many_records:
        assert ("refused", "not of the protocol", 1) in rows


def test_a_claim_of_a_million_images_is_worth_half(federation: Federation) -> None:
    """Where label maps stay at the nodes a number of images is a claim and no more."""

    def claim(message: Message, context: Context, answer: Reply) -> Message:
        own = 479
        if message.metadata.message_type == EXCHANGE and context.node_id == 2:
            views = message.content.array_records["views"]
            views["ids"] = Array(views["ids"].numpy() % own)
        reply = answer(message, context)
        if message.metadata.message_type == "query.join" and context.node_id == 2:
            reply.content.config_records["node"]["images"] = 1_000_000
            sizes = np.full((1_000_000, 2), 32, np.int32)
            reply.content["images"] = ArrayRecord({"sizes": Array(sizes)})
        return reply

    run = federation.run(f"{THREE} data.condition=none", clients=3, client_app=TamperedApp(claim))
    for each in read_metrics(run.path).rounds:
        assert {name: client.capped for name, client in each.clients.items()} == {
            "part-0": False,
            BAD: True,
            "part-2": False,
        }
        assert each.clients[BAD].weight == 0.5
        assert sum(client.weight for client in each.clients.values()) == pytest.approx(1.0)
    assert f"| {BAD} | weight lowered to algorithm.largest_share | 2 |" in (run.path / "report.md").read_text()


@pytest.mark.parametrize("rate", ["100.0", "1.0e+9"])
def test_a_generator_that_diverges_stops_the_training_and_its_checkpoint_stays(
    federation: Federation, rate: str
) -> None:
    with pytest.raises(FederationError, match=r"not finite: .* Lower algorithm.generator_learning_rate"):
        federation.run(f"{THREE} exchange.rounds=20 algorithm.generator_learning_rate={rate}", clients=3)
    for file in (federation.directory / "checkpoints").glob("*.safetensors"):
        assert all(bool(value.isfinite().all()) for value in load_file(file).values())
    assert not (federation.directory / "generator.safetensors").exists()


def test_a_report_that_cannot_be_written_ends_no_run(
    federation: Federation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Path) -> Path:
        raise OverflowError("a figure of 1e77 by 1e77")

    monkeypatch.setattr(run_end, "write_report", fail)
    with caplog.at_level(logging.WARNING, logger="flwr"):
        run = federation.run()
    assert (run.path / "generator.safetensors").is_file()
    assert f"`flower-dgan report {run.path}` tries again" in caplog.text
