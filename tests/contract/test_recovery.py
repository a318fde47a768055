"""A training that is interrupted anywhere and resumed ends where the undisturbed one does, bit by bit."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict

from flower_dgan.client_app import app
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.federation.job import run_job
from flower_dgan.federation.open_bundles import OpenBundles
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.flower_internals import LOST
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.gan.exchange import Question
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.question_message import Envelope, write_question

from .conftest import TINY, Reply, TamperedApp, configuration

FIVE_ROUNDS = f"{TINY} exchange.rounds=5 exchange.exchanges=1 output.checkpoint_interval=0"


class PowerCutError(BaseException):
    """What no ClientApp and no grid turns into a reply."""


def start(directory: Path, extra: str = "", tamper: Callable[[Message, Context, Reply], Message] | None = None) -> None:
    overrides = f"{FIVE_ROUNDS} {extra}"
    client_app = TamperedApp(tamper) if tamper else app
    run_job(InProcessGrid(client_app, simulated_contexts(2, overrides)), configuration(overrides, directory), 1)


def end_in(directory: Path, round_number: str, part: int, *, after: bool, extra: str = "") -> None:
    """Start a training and cut its power when a client is asked, before or after it answers."""

    def cut(message: Message, context: Context, reply: Reply) -> Message:
        ours = message.metadata.group_id == round_number and context.node_config["partition-id"] == part
        if ours and not after:
            raise PowerCutError
        answer = reply(message, context)
        if ours:
            raise PowerCutError
        return answer

    with pytest.raises(PowerCutError):
        start(directory, extra, tamper=cut)


def parameters(directory: Path) -> dict[str, torch.Tensor]:
    return load_generator(directory / "generator.safetensors")[0].state_dict()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    start(directory)
    return parameters(directory)


@pytest.mark.parametrize(
    ("round_number", "part", "after"), [("1", 0, True), ("3", 0, False), ("3", 1, True), ("5", 1, True)]
)
def test_power_cut_and_resume(
    tmp_path: Path, undisturbed: dict[str, torch.Tensor], round_number: str, part: int, after: bool
) -> None:
    directory = tmp_path / "run"
    end_in(directory, round_number, part, after=after)
    start(directory, f"resume='{directory}'")
    torch.testing.assert_close(parameters(directory), undisturbed, rtol=0, atol=0)
    metrics = read_metrics(directory)
    assert [each.round for each in metrics.rounds] == [1, 2, 3, 4, 5]
    assert all(set(each.clients) == {"part-0", "part-1"} for each in metrics.rounds)
    assert [join.site for join in metrics.joins] == ["part-0", "part-1"]


@pytest.mark.parametrize("algorithm", ["mdgan algorithm.swap_interval=2", "uagan", "dgan-sequential", "dgan-selective"])
def test_other_algorithms_go_on_too(tmp_path: Path, algorithm: str) -> None:
    """After round 2 of MD-GAN two discriminators are on their way to the other client: the checkpoint has them, as it
    has the server's own discriminator of Distributed-GAN's approach 1.
    """
    chosen = f"algorithm={algorithm}"
    start(tmp_path / "undisturbed", chosen)
    directory = tmp_path / "run"
    end_in(directory, "3", 0, after=True, extra=chosen)
    start(directory, f"{chosen} resume='{directory}'")
    torch.testing.assert_close(parameters(directory), parameters(tmp_path / "undisturbed"), rtol=0, atol=0)


@pytest.mark.parametrize("moved", [0.3 / 127.5, 1.0])
def test_bundles_that_were_open_are_sent_again_byte_for_byte(
    tmp_path: Path, undisturbed: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, moved: float
) -> None:
    """A server that draws other last bits sends what is on its disk, and ends as if it drew the same.

    Where it draws other images altogether, as with settings that were changed, those are what it sends.
    """
    directory, sent = tmp_path / "run", dict[tuple[str, int], list[bytes]]()

    def cut(message: Message, context: Context, reply: Reply) -> Message:
        number = message.metadata.group_id
        if number.isdecimal():
            images = message.content.array_records["synthetic"]["images"].data
            sent.setdefault((number, int(context.node_config["partition-id"])), []).append(images)
        answer = reply(message, context)
        if number == "3" and sent[number, 0][1:] == [] and context.node_config["partition-id"] == 1:
            raise PowerCutError
        return answer

    with pytest.raises(PowerCutError):
        start(directory, "output.checkpoint_interval=1e6", cut)
    assert len(list((directory / "open-bundles").iterdir())) == 6

    def on_another_machine(envelope: Envelope, question: Question, shape: BundleShape) -> RecordDict:
        return write_question(envelope, replace(question, images=(question.images + moved).clamp(-1, 1)), shape)

    monkeypatch.setattr("flower_dgan.federation.outbox.write_question", on_another_machine)
    start(directory, f"output.checkpoint_interval=1e6 resume='{directory}'", cut)
    again = [before == after for before, after in (both for both in sent.values() if len(both) == 2)]
    assert again == [moved < 1] * 6
    assert not (directory / "open-bundles").exists()
    if moved < 1:  # of the rounds that nobody was asked before, the images are the other machine's
        assert {name: len(both) for name, both in sent.items() if int(name[0]) > 3} == {
            (number, part): 1 for number in ("4", "5") for part in (0, 1)
        }


def test_an_open_bundle_that_is_damaged_or_anothers_is_drawn_anew(tmp_path: Path) -> None:
    drawn = RecordDict({"bundle": ConfigRecord({"return-weights": False, "attempt": 2}), "synthetic": ArrayRecord()})
    drawn.array_records["synthetic"]["images"] = Array(np.full(4, 1.0, np.float32))
    sent = RecordDict({"bundle": ConfigRecord({"return-weights": False, "attempt": 1}), "synthetic": ArrayRecord()})
    sent.array_records["synthetic"]["images"] = Array(np.full(4, 1.001, np.float32))
    kept = OpenBundles(tmp_path / "open-bundles", "training")
    assert kept.send(7, "a", sent) is sent
    assert (tmp_path / "open-bundles").stat().st_mode & 0o777 == 0o700
    again = OpenBundles(tmp_path / "open-bundles", "training").send(7, "a", drawn)
    assert again.array_records["synthetic"]["images"].numpy().tolist() == [np.float32(1.001)] * 4
    assert again.config_records["bundle"]["attempt"] == 2
    assert kept.send(7, "b", drawn) is drawn
    assert kept.send(8, "a", drawn) is drawn
    assert OpenBundles(tmp_path / "open-bundles", "another training").send(7, "a", drawn) is drawn
    (file,) = (tmp_path / "open-bundles").glob("00000008-*")
    file.write_bytes(file.read_bytes()[:-1] + b"~")
    assert kept.send(8, "a", sent) is sent
    kept.forget(7)
    assert [each.name[:8] for each in (tmp_path / "open-bundles").iterdir()] == ["00000008"]
    kept.forget(8)
    assert (kept.bytes, (tmp_path / "open-bundles").exists()) == (0, False)


def test_a_disk_that_takes_no_bundle_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "open-bundles").write_text("a file where the folder should be")
    kept = OpenBundles(tmp_path / "open-bundles", "training")
    content = RecordDict({"bundle": ConfigRecord({"return-weights": False})})
    with caplog.at_level(logging.WARNING, "flwr"):
        assert [kept.send(number, "a", content) is content for number in (1, 2)] == [True, True]
    assert caplog.text.count("could not send its last bundles again") == 1


def test_cut_twice_with_a_torn_checkpoint(tmp_path: Path, undisturbed: dict[str, torch.Tensor]) -> None:
    directory = tmp_path / "run"
    end_in(directory, "4", 1, after=True)
    newest = directory / "checkpoints/00000003.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])

    def cut(message: Message, context: Context, reply: Reply) -> Message:
        if message.metadata.group_id == "4":
            raise PowerCutError
        return reply(message, context)

    with pytest.raises(PowerCutError):
        start(directory, f"resume='{directory}'", cut)
    start(directory, f"resume='{directory}'")
    torch.testing.assert_close(parameters(directory), undisturbed, rtol=0, atol=0)
    # The ledger has what the last attempt knows of: five rounds of two clients, each counted once.
    records = [r for r in read_metrics(directory).records if (r.record, r.key) == ("feedback", "gradients")]
    assert [(r.site, r.messages) for r in records] == [("part-0", 5), ("part-1", 5)]


def test_a_finished_training_is_resumed_to_its_results(tmp_path: Path, undisturbed: dict[str, torch.Tensor]) -> None:
    directory = tmp_path / "run"

    def forget_to_leave(message: Message, context: Context, reply: Reply) -> Message:
        if message.metadata.message_type == "query.leave":
            raise PowerCutError
        return reply(message, context)

    with pytest.raises(PowerCutError):
        start(directory, tamper=forget_to_leave)
    assert not (directory / "report.md").exists()
    (directory / "patients.csv").write_text("scores of rows that are made anew\n")
    start(directory, f"resume='{directory}'")
    assert not (directory / "patients.csv").exists()
    torch.testing.assert_close(parameters(directory), undisturbed, rtol=0, atol=0)
    assert (directory / "report.md").is_file()


def test_two_bundles_in_flight_go_on_too(tmp_path: Path) -> None:
    """Not bit by bit: the bundle that was ahead is drawn anew."""
    directory, extra = tmp_path / "run", "exchange.in_flight=2"

    def cut(message: Message, context: Context, reply: Reply) -> Message:
        answer = reply(message, context)
        if message.metadata.group_id == "4":
            raise PowerCutError
        return answer

    with pytest.raises(PowerCutError):
        start(directory, extra, cut)
    start(directory, f"{extra} resume='{directory}'")
    assert [(r.round, len(r.clients)) for r in read_metrics(directory).rounds] == [(n, 2) for n in range(1, 6)]


def test_lost_messages_and_replies_are_sent_again(tmp_path: Path, undisturbed: dict[str, torch.Tensor]) -> None:
    """Every message of round 2 is lost before it is answered, every one of round 4 after it."""
    seen: set[tuple[str, object]] = set()

    def lose(message: Message, context: Context, reply: Reply) -> Message:
        key = (message.metadata.group_id, context.node_config["partition-id"])
        first = key not in seen
        seen.add(key)
        if not first or key[0] not in ("2", "4"):
            return reply(message, context)
        if key[0] == "4":
            reply(message, context)
        return Message(Error(code=max(LOST), reason="lost"), reply_to=message)

    start(tmp_path / "run", tamper=lose)
    torch.testing.assert_close(parameters(tmp_path / "run"), undisturbed, rtol=0, atol=0)


def refused(directory: Path, extra: str) -> str:
    with pytest.raises((ConfigError, FederationError)) as error:
        start(directory, extra)
    return str(error.value)


def test_what_cannot_be_resumed_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    end_in(directory, "3", 0, after=False)
    again = f"resume='{directory}'"
    assert "model.noise_channels was 8 and is 4" in refused(directory, f"{again} model.noise_channels=4")
    assert "is not the directory of a run" in refused(tmp_path / "other", f"resume='{tmp_path}'")
    assert "make it" in refused(tmp_path / "other", again)
    assert "holds another run" in refused(directory, "")
    overrides = f"{FIVE_ROUNDS} {again}"
    learned = parameters(directory)
    with pytest.raises(FederationError, match="began with part-0, part-1; connected are part-0, part-1, part-2"):
        run_job(InProcessGrid(app, simulated_contexts(3, overrides)), resolve(overrides), 1)
    torch.testing.assert_close(parameters(directory), learned, rtol=0, atol=0)
    settings = directory / "config.yaml"
    settings.write_text(settings.read_text().replace("  missing_channels:", "  older_name:"))
    older = refused(directory, again)
    assert "was begun by another version of flower-dgan: Unknown setting 'data.older_name'" in older


def test_two_processes_do_not_work_on_one_training(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    end_in(directory, "3", 0, after=False)
    again = resolve(f"{FIVE_ROUNDS} resume='{directory}'")
    with RunDirectory.open(again, 1).in_use(), pytest.raises(ConfigError, match="Another process still works in"):
        start(directory, f"resume='{directory}'")
    start(directory, f"resume='{directory}'")


def test_runs_in_a_row_are_trainings_of_their_own(tmp_path: Path) -> None:
    overrides = f"{FIVE_ROUNDS} output.directory='{tmp_path}/"
    configs: Iterable[str] = (f"{overrides}a'", f"{overrides}b'")
    trainings = {RunDirectory.open(resolve(each), 1).training for each in configs}
    assert len(trainings) == 2
