"""Trainings whose clients answer once, with noise: what is asked, what is made of it, and that nothing else leaves."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Error, Message

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.errors import FederationError
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.wire.join_messages import JOIN, LEAVE
from flower_dgan.wire.noisy_sum_messages import NOISY_SUM
from flower_dgan.wire.refusals import Refusal

from .conftest import Federation, Reply, TamperedApp

MOMENTS = (
    "privacy=moments data.condition=class data.classes=10 algorithm.frequencies=50 algorithm.epsilon=10 "
    "exchange.rounds=3 exchange.exchanges=2 exchange.generator_steps=2 exchange.batch_size=4 model.generator_width=8 "
    "output.checkpoint_interval=0"
)


class Wire:
    """Keeps what nodes answer, and lets the answers of the second to be changed."""

    def __init__(self, change: Callable[[Message], Message] = lambda reply: reply) -> None:
        self.answers: list[tuple[int, str, Message]] = []
        self._change = change

    def __call__(self, message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if context.node_id == 2 and message.metadata.message_type == NOISY_SUM:
            reply = self._change(reply)
        self.answers.append((context.node_id, message.metadata.message_type, reply))
        return reply

    def sums(self) -> list[np.ndarray]:
        found = [reply for _, kind, reply in self.answers if kind == NOISY_SUM]
        return [reply.content.array_records["noisy-sum"]["steps"].numpy() for reply in found]


def weights(directory: RunDirectory) -> np.ndarray:
    generator, _, _ = load_generator(directory.path / "generator.safetensors")
    return np.concatenate([each.detach().numpy().ravel() for each in generator.parameters()])


def test_a_training_asks_once_and_nothing_else_leaves(federation: Federation) -> None:
    """Neither a number of images nor a label map: joining tells names, channels, classes and the word of a policy."""
    wire = Wire()
    directory = federation.run(MOMENTS, client_app=TamperedApp(wire))
    assert [(node, kind) for node, kind, _ in wire.answers] == [
        (node, kind) for kind in (JOIN, NOISY_SUM, LEAVE) for node in (1, 2)
    ]
    joined = wire.answers[0][2].content
    assert list(joined) == ["node"]
    keys = {"protocol-version", "name", "channels", "classes", "queue", "token", "levels", "policy", "publish"}
    assert set(joined["node"]) == keys
    assert len(read_metrics(directory.path).rounds) == 3
    report = (directory.path / "report.md").read_text()
    assert "| part-0 | 10 | 1e-05 | 0.4999 |" in report
    assert "in a simulation the noise follows from the seed" in report
    first, second = wire.sums()
    assert first.shape == (10, 101)
    assert first.dtype == np.int64
    assert (first != second).mean() > 0.99
    assert len(list((directory.synthetic / "images").iterdir())) == 6


class PowerCutError(BaseException):
    """What no handler turns into an answer."""


def test_a_training_that_was_cut_goes_on_with_the_same_sums(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = weights(federation.run(MOMENTS))
    federation.directory = tmp_path / "cut"
    learn = DpMerf.learn

    def cut(self: DpMerf, state: object, number: int, *others: object) -> object:
        if number == 3:
            raise PowerCutError
        return learn(self, state, number, *others)  # type: ignore[arg-type]

    before, after = Wire(), Wire()
    with monkeypatch.context() as patch:
        patch.setattr(DpMerf, "learn", cut)
        with pytest.raises(PowerCutError):
            federation.run(MOMENTS, client_app=TamperedApp(before))
    resumed = federation.run(f"{MOMENTS} resume='{federation.directory}'", client_app=TamperedApp(after))
    assert [(one == other).all() for one, other in zip(before.sums(), after.sums(), strict=True)] == [True, True]
    assert (weights(resumed) == undisturbed).all()


def refuse(reply: Message) -> Message:
    return Message(Error(code=Refusal.EPSILON, reason=Refusal.EPSILON.sentence), reply_to=reply)


def enlarge(reply: Message) -> Message:
    """Claim features of a million patients where the count says a hundred."""
    steps = reply.content.array_records["noisy-sum"]["steps"].numpy().copy()
    steps[:, :-1] += 10**6 * 2**16
    reply.content["noisy-sum"] = ArrayRecord({"steps": Array(steps)})
    return reply


@pytest.mark.parametrize(
    ("change", "why"), [(refuse, "does not allow this (epsilon)"), (enlarge, "a sum that no patients with noise")]
)
def test_who_refuses_or_lies_is_left_out_and_said_to_be(
    change: Callable[[Message], Message], why: str, federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="flwr"):
        path = federation.run(MOMENTS, client_app=TamperedApp(Wire(change))).path
    assert [each.site for each in read_metrics(path).joins] == ["part-0"]
    (told,) = [each for each in caplog.messages if each.startswith("The training goes on without part-1: ")]
    assert why in told


def test_without_enough_answers_there_is_no_training(federation: Federation) -> None:
    with pytest.raises(FederationError, match=r"1 clients answered, and exchange\.min_nodes=2: part-1: .*epsilon"):
        federation.run(f"{MOMENTS} exchange.min_nodes=2", client_app=TamperedApp(Wire(refuse)))


def test_where_noise_drowns_every_class_the_run_says_so(federation: Federation) -> None:
    with pytest.raises(FederationError, match=r"No class stands out of noise .* More of them are needed"):
        federation.run(f"{MOMENTS} algorithm.epsilon=0.01")
