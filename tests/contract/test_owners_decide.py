"""The server's side of owners who approve and end trainings: it waits for them, says so, and goes on without them."""

import logging

import pytest
from flwr.app import Context, Error, Message

from flower_dgan.errors import FederationError
from flower_dgan.federation import join
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.question_message import EXCHANGE
from flower_dgan.wire.refusals import Refusal

from .conftest import Federation, Reply, TamperedApp


class Owner:
    """The owner of node 2, who refuses some messages of a kind."""

    def __init__(self, kind: str, refusal: Refusal, first: int, last: int) -> None:
        self._kind, self._refusal, self._refused = kind, refusal, range(first, last)
        self.asked = 0

    def __call__(self, message: Message, context: Context, answer: Reply) -> Message:
        if context.node_id != 2 or message.metadata.message_type != self._kind:
            return answer(message, context)
        self.asked += 1
        if self.asked not in self._refused:
            return answer(message, context)
        return Message(Error(code=self._refusal, reason=self._refusal.sentence), reply_to=message)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "_ASK_AGAIN", 0.01)


def test_a_run_waits_for_owners_and_says_so(federation: Federation, caplog: pytest.LogCaptureFixture) -> None:
    """It needs both; the second approves when it is asked the fourth time, long after nodes should have joined."""
    owner = Owner(JOIN, Refusal.APPROVAL, 1, 4)
    with caplog.at_level(logging.INFO, logger="flwr"):
        path = federation.run("exchange.min_nodes=2 exchange.join_timeout=0.001", client_app=TamperedApp(owner)).path
    assert owner.asked == 4
    assert [each.site for each in read_metrics(path).joins] == ["part-0", "part-1"]
    assert "1 of at least 2 owners let their nodes take part. Node 2 waits for its owner's approval" in caplog.text


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ({7}, "Node 7 waits for its owner's approval"),
        ({12, 7}, "Nodes 7 and 12 wait for their owners' approval"),
        ({12, 7, 9}, "Nodes 7, 9 and 12 wait for their owners' approval"),
    ],
)
def test_one_node_waits_and_several_wait(nodes: set[int], said: str) -> None:
    assert join._who_waits(nodes) == said


def test_who_approved_is_not_held_up_by_who_does_not(federation: Federation, caplog: pytest.LogCaptureFixture) -> None:
    owner = Owner(JOIN, Refusal.APPROVAL, 1, 10**6)
    overrides = "exchange.min_nodes=1 exchange.join_timeout=0.05 model.site_condition=false"
    path = federation.run(overrides, client_app=TamperedApp(owner)).path
    metrics = read_metrics(path)
    assert [each.site for each in metrics.joins] == ["part-0"]
    (change,) = metrics.changes
    assert (change.who, change.change, change.round) == ("node 2", "refused", 0)
    assert change.what.startswith("does not take part: The node's owner has not approved this training")
    assert metrics.alarms == ()
    assert "The run starts without some nodes: node 2: The node's owner has not approved this training" in caplog.text


@pytest.mark.parametrize("refusal", [Refusal.APPROVAL_HOURS, Refusal.REVOKED])
def test_without_enough_owners_there_is_no_run(federation: Federation, refusal: Refusal) -> None:
    owner = Owner(JOIN, refusal, 1, 10**6)
    with pytest.raises(FederationError, match=r"cannot start with 1 node \(exchange\.min_nodes\): node 2: ") as error:
        federation.run("exchange.min_nodes=2", client_app=TamperedApp(owner))
    assert refusal.sentence in str(error.value)
    metrics = read_metrics(federation.directory)
    assert [(each.who, each.change, each.what) for each in metrics.changes] == [
        ("node 2", "refused", f"does not take part: {refusal.sentence}")
    ]
    assert [(stage.name, stage.how) for stage in metrics.stages] == [("join", "failed")]


def test_a_run_goes_on_without_a_node_whose_owner_ended_it(federation: Federation) -> None:
    """From round 2 on: three refusals, then it is not asked any more; the other one's rounds are all there."""
    owner = Owner(EXCHANGE, Refusal.REVOKED, 2, 10**6)
    path = federation.run("exchange.rounds=6", client_app=TamperedApp(owner)).path
    rounds = read_metrics(path).rounds
    assert [sorted(each.clients) for each in rounds] == [["part-0", "part-1"], *[["part-0"]] * 5]
    assert [each.rejected.get("part-1") for each in rounds[1:4]] == [Refusal.REVOKED.sentence] * 3
    assert [(each.who, each.change, each.round) for each in read_metrics(path).changes] == [("part-1", "left out", 3)]
    assert owner.asked == 4
