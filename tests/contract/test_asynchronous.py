"""Rounds that do not wait: slow clients, clients that go and come, clients that answer with nonsense."""

import re
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from flower_dgan.client_app import app
from flower_dgan.errors import FederationError
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.wire.join_messages import JOIN, LABEL_MAPS
from flower_dgan.wire.question_message import EXCHANGE

from .conftest import TINY, Reply, TamperedApp, configuration

SIX_ROUNDS = f"{TINY} schedule=asynchronous exchange.rounds=6 exchange.exchanges=1 model.site_condition=false"


class Nodes(InProcessGrid):
    """A federation whose nodes come and go, and one of which answers some rounds late.

    Parameters
    ----------
    client_app : ClientApp
        The app of every node.
    overrides : str
        Of the run.
    late : dict of int to int
        Node id to the number of rounds that have begun after a message before its reply is there.
    present : callable
        Given the round that was begun last, returns the ids of the connected nodes.
    """

    def __init__(self, client_app: ClientApp, overrides: str, late: dict[int, int], present: object) -> None:
        contexts = simulated_contexts(3, overrides)
        contexts[12] = simulated_contexts(3, overrides)[2]  # node 2, started again under another id
        super().__init__(client_app, contexts)
        self._late = late
        self._present = present
        self._round = 0
        self._sent: dict[str, tuple[int, int]] = {}

    def get_node_ids(self) -> Iterable[int]:
        return self._present(self._round)  # type: ignore[operator, no-any-return]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            group, node = int(message.metadata.group_id or 0), message.metadata.dst_node_id
            self._round = max(self._round, group)
            (message_id,) = super().push_messages([message])
            self._sent[message_id] = group, node
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        ready = []
        for message_id in message_ids:
            group, node = self._sent[message_id]
            if group + self._late.get(node, 0) <= self._round or not group:
                ready.append(message_id)
        return super().pull_messages(ready)


def run(
    directory: Path,
    extra: str = "",
    *,
    late: dict[int, int] | None = None,
    present: object = lambda _: [1, 2, 3],
    client_app: ClientApp | TamperedApp = app,
) -> RunMetrics:
    overrides = f"{SIX_ROUNDS} {extra}"
    run_job(Nodes(client_app, overrides, late or {}, present), configuration(overrides, directory), 1)
    return read_metrics(directory)


def used(metrics: RunMetrics) -> list[dict[str, int]]:
    return [{site: client.rounds_late for site, client in each.clients.items()} for each in metrics.rounds]


def test_late_feedback_is_used_in_the_round_in_which_it_comes(tmp_path: Path) -> None:
    """Two of three close a round. Node 3 answers two rounds late, and gets its next bundle in the round after."""
    metrics = run(tmp_path / "run", "schedule.quorum=0.6", late={3: 2})
    two, three = {"part-0": 0, "part-1": 0}, {"part-0": 0, "part-1": 0, "part-2": 2}
    assert used(metrics) == [two, two, three, two, two, three]
    assert [each.late for each in metrics.rounds] == [("part-2",), ("part-2",), ()] * 2
    assert [each.images for each in metrics.rounds] == [8, 8, 12, 8, 8, 12]
    assert all(not each.rejected for each in metrics.rounds)


def test_feedback_that_is_too_old_is_dropped_and_counted(tmp_path: Path) -> None:
    metrics = run(tmp_path / "run", "schedule.quorum=0.6 schedule.max_staleness=1", late={3: 2})
    assert used(metrics) == [{"part-0": 0, "part-1": 0}] * 6
    assert [each.rejected for each in metrics.rounds] == [{}, {}, {"part-2": "more than 1 rounds old"}] * 2


def test_a_client_that_leaves_is_not_waited_for(tmp_path: Path) -> None:
    metrics = run(tmp_path / "run", present=lambda number: [1, 2, 3] if number < 3 else [1, 3])
    assert [set(each) for each in used(metrics)][:2] == [{"part-0", "part-1", "part-2"}] * 2
    assert [set(each) for each in used(metrics)][3:] == [{"part-0", "part-2"}] * 3


def test_a_client_that_comes_takes_part_and_brings_its_label_maps(tmp_path: Path, own_home: Path) -> None:
    metrics = run(tmp_path / "run", present=lambda number: [1, 2] if number < 3 else [1, 2, 3])
    assert [set(each) for each in used(metrics)][:3] == [{"part-0", "part-1"}] * 3
    assert [set(each) for each in used(metrics)][3:] == [{"part-0", "part-1", "part-2"}] * 3
    assert [join.site for join in metrics.joins] == ["part-0", "part-1", "part-2"]
    assert [path for path in (own_home / "state").rglob("*") if path.is_file()] == []
    fetched = [r.site for r in metrics.records if (r.record, r.key) == ("label-maps", "data")]
    assert fetched == ["part-0", "part-1", "part-2"]


@pytest.mark.parametrize(
    ("message_type", "key", "value", "problem"),
    [
        (JOIN, "protocol-version", 1, "node 3: .*protocol version 1"),
        (JOIN, "label-maps-hash", "0" * 64, "node 3: .*do not have the hash that it announced"),
        (JOIN, "classes", 200, "node 3 .part-2.: it has 200 classes, not 2"),
        (LABEL_MAPS, "classes", 300, "node 3: .*do not have the hash that it announced"),
    ],
)
def test_a_client_that_comes_with_nonsense_does_not_end_the_training(
    message_type: str, key: str, value: int | str, problem: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lie(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if context.node_id == 3 and message.metadata.message_type == message_type:
            reply.content.config_records["node"][key] = value
        return reply

    with caplog.at_level("WARNING", logger="flwr"):
        metrics = run(
            tmp_path / "run",
            present=lambda number: [1, 2] if number < 3 else [1, 2, 3],
            client_app=TamperedApp(lie),
        )
    assert [set(each) for each in used(metrics)] == [{"part-0", "part-1"}] * 6
    assert re.search(f"Not taken into the training: {problem}", caplog.text)


@pytest.mark.parametrize("setting", ["model.site_condition=true", "model.generator=fusion-mixture"])
def test_a_new_site_is_refused_where_the_generator_knows_the_sites(
    setting: str, tmp_path: Path, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="flwr"):
        metrics = run(
            tmp_path / "run",
            setting,
            present=lambda number: [1, 2] if number < 3 else [1, 2, 3],
        )
    assert all(set(each) == {"part-0", "part-1"} for each in used(metrics))
    assert f"part-2): {setting.removesuffix('=true')} fixes the sites when the training begins" in caplog.text
    deadline = time.monotonic() + 20
    while kept := [path for path in (own_home / "state").rglob("images.npy") if path.is_file()]:
        assert time.monotonic() < deadline, kept  # it forgets what it kept of its images when it was asked
        time.sleep(0.05)


def test_a_node_that_was_started_again_goes_on_as_the_same_client(tmp_path: Path, own_home: Path) -> None:
    """Its discriminator is that of its third round, or the node would refuse. At the end it forgets all the same."""
    metrics = run(tmp_path / "run", present=lambda number: [1, 2, 3] if number < 3 else [1, 12, 3])
    assert all(set(each) == {"part-0", "part-1", "part-2"} for each in used(metrics)[3:])
    assert all(not each.rejected for each in metrics.rounds)
    assert [join.site for join in metrics.joins] == ["part-0", "part-1", "part-2"]
    assert [path for path in (own_home / "state").rglob("*") if path.is_file()] == []


def test_a_node_that_was_killed_and_started_again_takes_its_own_place_at_once(tmp_path: Path) -> None:
    """Flower takes the killed one for connected for a minute; the new one shows the token that it was given."""
    metrics = run(tmp_path / "run", present=lambda number: [1, 2, 3] if number < 3 else [1, 2, 12, 3])
    assert all(set(each) == {"part-0", "part-1", "part-2"} for each in used(metrics))
    assert [(each.who, each.what) for each in metrics.changes] == [("part-1", "is node 12 now, and was node 2")]


@pytest.mark.parametrize("old_one_is_there", [True, False])
def test_a_stranger_does_not_take_the_name_of_a_client(
    old_one_is_there: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def forge(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.dst_node_id == 12 and message.metadata.message_type == JOIN:
            reply.content.config_records["node"]["token"] = "0" * 32
        return reply

    later = [1, 2, 12, 3] if old_one_is_there else [1, 12, 3]
    with caplog.at_level("WARNING", logger="flwr"):
        metrics = run(
            tmp_path / "run",
            present=lambda number: [1, 2, 3] if number < 3 else later,
            client_app=TamperedApp(forge),
        )
    assert ("part-1" in used(metrics)[-1]) == old_one_is_there
    assert "node 12 (part-1): the name part-1 is another node's in this training" in caplog.text
    (change,) = metrics.changes
    assert change.who == "node 12"
    assert "neither its key nor its token" in change.what
    assert "neither its key nor its token" in (tmp_path / "run/report.md").read_text()


def test_who_answers_with_nonsense_three_times_is_not_asked_again(tmp_path: Path) -> None:
    asked = []

    def answer_with_nonsense(message: Message, context: Context, reply: Reply) -> Message:
        if message.metadata.message_type == EXCHANGE and context.node_config["partition-id"] == 2:
            asked.append(message.metadata.group_id)
            return Message(RecordDict({"code": ConfigRecord({"run": "me"})}), reply_to=message)
        return reply(message, context)

    metrics = run(tmp_path / "run", client_app=TamperedApp(answer_with_nonsense))
    assert asked == ["1", "2", "3"]
    assert used(metrics) == [{"part-0": 0, "part-1": 0}] * 6
    assert "records ['code']" in metrics.rounds[0].rejected["part-2"]


def test_a_round_without_usable_feedback_goes_by(tmp_path: Path) -> None:
    """One of two is slow; all of the other's replies are nonsense. A round waits for both, but not for long."""

    def answer_with_nonsense(message: Message, context: Context, reply: Reply) -> Message:
        if message.metadata.message_type == EXCHANGE and context.node_config["partition-id"] == 0:
            return Message(RecordDict({"code": ConfigRecord({"run": "me"})}), reply_to=message)
        return reply(message, context)

    metrics = run(
        tmp_path / "run",
        "exchange.rounds=3 schedule.quorum=1 schedule.deadline=0.5",
        late={2: 2},
        present=lambda _: [1, 2],
        client_app=TamperedApp(answer_with_nonsense),
    )
    assert [each.images for each in metrics.rounds] == [0, 0, 4]
    assert used(metrics)[2] == {"part-1": 2}


def test_a_round_in_which_nobody_answers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match=r"Round 1 has no usable feedback. part-0: no reply in time; part-1: no"):
        run(tmp_path / "run", "exchange.timeout=0.2", late={1: 9, 2: 9, 3: 9})


def test_nobody_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match=r"0 of 3 clients can be asked, .* Without part-0 \(not"):
        run(tmp_path / "run", "exchange.timeout=0.1", present=lambda number: [1, 2, 3] if number < 3 else [])
