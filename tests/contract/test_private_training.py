"""Trainings whose discriminators are private: what crosses, and that a node whose budget is spent ends nothing."""

import pytest
from flwr.app import Context, Error, Message

from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.question_message import EXCHANGE
from flower_dgan.wire.refusals import Refusal

from .conftest import Federation, Reply, TamperedApp

STEPS = (
    "privacy=dp-sgd data.condition=class data.classes=10 exchange.rounds=3 exchange.exchanges=1 exchange.batch_size=4 "
    "algorithm.discriminator_steps=1 model.generator_width=8 model.discriminator_width=4"
)


class Wire:
    """Keeps what nodes answer; the second one's budget is spent after its first round."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str, Message]] = []

    def __call__(self, message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        mine = [kind for node, kind, _ in self.answers if node == context.node_id]
        if context.node_id == 2 and message.metadata.message_type == EXCHANGE and EXCHANGE in mine:
            reply = Message(Error(code=Refusal.EPSILON, reason=Refusal.EPSILON.sentence), reply_to=message)
        self.answers.append((context.node_id, message.metadata.message_type, reply))
        return reply


@pytest.mark.usefixtures("undrawn_figures")
def test_a_training_goes_on_without_a_node_whose_budget_is_spent(federation: Federation) -> None:
    """Of what nodes have, their answers to joining tell names, channels and classes."""
    wire = Wire()
    directory = federation.run(STEPS, client_app=TamperedApp(wire))
    joined = next(reply for _, kind, reply in wire.answers if kind == JOIN).content
    assert list(joined) == ["node"]
    assert "images" not in joined["node"]
    metrics = read_metrics(directory.path)
    assert [sorted(each.clients) for each in metrics.rounds] == [["part-0", "part-1"], ["part-0"], ["part-0"]]
    assert all("(epsilon)" in each.rejected["part-1"] for each in metrics.rounds[1:] if each.rejected)
    assert metrics.rounds[1].rejected
    report = (directory.path / "report.md").read_text()
    assert "(epsilon)" in report
    told = {each.site: each for each in metrics.private_steps}
    assert [(each.done, each.planned) for each in told.values()] == [(3, 3), (1, 3)]
    # Noise is for three steps: these cost epsilon 3, up to the precision of its search, and one of them less.
    assert told["part-0"].spent == pytest.approx(3, rel=0.005)
    assert 0.5 < (told["part-1"].spent or 0) < 2.9
    assert f"| part-1 | 3 | {told['part-1'].spent:.4g} | 1e-05 | {told['part-1'].sigma:.4g} | 0.35 | 1 of 3 |" in report
    answers = [reply.content for node, kind, reply in wire.answers if kind == EXCHANGE and node == 1]
    assert {str(each.metric_records["metrics"]["busy-seconds"]) for each in answers} == {"0.0625"}
