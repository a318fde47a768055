"""Silent clients, clients that come back, and names that belong to somebody, where every round waits for all."""

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from flwr.app import Context, Message

from flower_dgan.client_app import app
from flower_dgan.errors import FederationError
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.question_message import EXCHANGE

from .conftest import TINY, Reply, TamperedApp, configuration

ROUNDS = f"{TINY} exchange.rounds=8 exchange.exchanges=1 exchange.timeout=0.3 model.site_condition=false"


class SilentNodes(InProcessGrid):
    """A federation some of whose nodes do not answer at times, connected or not.

    Parameters
    ----------
    overrides : str
        Of the run.
    silent : callable
        Given a node id and the round that was begun last, returns whether it answers nothing now.
    connected : callable
        Given the same, returns whether Flower takes it for connected.
    client_app : ClientApp
        The app of every node.
    """

    def __init__(
        self,
        overrides: str,
        silent: Callable[[int, int], bool],
        connected: Callable[[int, int], bool] = lambda *_: True,
        client_app: object = app,
    ) -> None:
        contexts = simulated_contexts(3, overrides)
        contexts[12] = simulated_contexts(3, overrides)[2]  # node 2, started again under another id
        super().__init__(client_app, contexts)  # type: ignore[arg-type]
        self._silent, self._connected = silent, connected
        self.round = 0
        self.asked: list[tuple[int, int]] = []
        self._lost: dict[str, Message] = {}

    def get_node_ids(self) -> Iterable[int]:
        return [node for node in (1, 2, 3, 12) if self._connected(node, self.round)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            node = message.metadata.dst_node_id
            if message.metadata.message_type == EXCHANGE:
                self.round = max(self.round, int(message.metadata.group_id))
                self.asked.append((self.round, node))
            if self._silent(node, self.round):
                ids.append(f"lost-{len(self._lost)}")
                self._lost[ids[-1]] = message
            else:
                ids += super().push_messages([message])
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return super().pull_messages([each for each in message_ids if each not in self._lost])


def run(directory: Path, grid: SilentNodes, extra: str = "") -> RunMetrics:
    run_job(grid, configuration(f"{ROUNDS} {extra}", directory), 1)
    return read_metrics(directory)


def not_12(node: int, _: int) -> bool:
    return node != 12


def test_a_silent_client_costs_three_timeouts_and_is_asked_anew_when_it_is_back(tmp_path: Path) -> None:
    grid = SilentNodes(ROUNDS, lambda node, number: node == 2 and 2 <= number < 6, not_12)
    metrics = run(tmp_path / "run", grid)
    with_two = {"part-0", "part-1", "part-2"}
    without = {"part-0", "part-2"}
    assert [set(each.clients) for each in metrics.rounds][:5] == [with_two, *[without] * 4]
    assert [each.rejected for each in metrics.rounds][1:4] == [{"part-1": "no reply in time"}] * 3
    assert [number for number, node in grid.asked if node == 2][:4] == [1, 2, 3, 4]
    assert 5 not in [number for number, node in grid.asked if node == 2]
    (left_out, *_) = metrics.changes
    assert (left_out.who, left_out.round) == ("part-1", 3)
    assert "left out after 3 messages" in left_out.what


def test_one_that_is_back_takes_part_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower_dgan.federation.membership._ASK_AGAIN", 0.0)
    grid = SilentNodes(ROUNDS, lambda node, number: node == 2 and 2 <= number < 6, not_12)
    metrics = run(tmp_path / "run", grid, "exchange.rounds=60")
    assert set(metrics.rounds[-1].clients) == {"part-0", "part-1", "part-2"}
    assert [each.what for each in metrics.changes][1:] == ["answers again"]
    assert metrics.rounds[-1].rejected == {}


def test_one_that_is_gone_is_not_waited_for_by_the_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout is an hour; that its node is not connected is waited for as long as at the join."""
    monkeypatch.setattr("flower_dgan.flower.grid._LOOK", 0.05)
    grid = SilentNodes(
        ROUNDS,
        lambda node, number: node == 2 and number >= 2,
        lambda node, number: node != 12 and not (node == 2 and number >= 2),
    )
    metrics = run(tmp_path / "run", grid, "exchange.timeout=3600")
    assert [set(each.clients) for each in metrics.rounds][1:] == [{"part-0", "part-2"}] * 7
    assert metrics.rounds[1].rejected == {"part-1": "its node is not connected"}
    assert [node for _, node in grid.asked].count(2) == 4


def test_below_the_smallest_number_the_run_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    grid = SilentNodes(ROUNDS, lambda node, number: node == 2 and number >= 3, not_12)
    with pytest.raises(FederationError) as error:
        run(tmp_path / "run", grid, "exchange.min_nodes=3 output.checkpoint_interval=0")
    assert "2 of 3 clients can be asked, and exchange.min_nodes=3 are wanted" in str(error.value)
    assert "part-1 (no reply in time)" in str(error.value)
    assert "resume=<run directory>" in str(error.value)
    assert [file.stem for file in sorted((tmp_path / "run/checkpoints").iterdir())] == ["00000004", "00000005"]


def test_one_after_the_other_goes_on_without_the_silent_one(tmp_path: Path) -> None:
    grid = SilentNodes(ROUNDS, lambda node, number: node == 2 and number >= 1, not_12)
    metrics = run(tmp_path / "run", grid, "algorithm=dgan-sequential exchange.rounds=12")
    asked = [node for _, node in grid.asked]
    assert asked.count(2) == 3
    assert sum(bool(each.clients) for each in metrics.rounds) == 9


def test_a_silent_newcomer_does_not_hold_up_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked in a thread of its own, and waited for a little, once."""
    monkeypatch.setattr("flower_dgan.federation.membership._PATIENCE", 0.05)
    grid = SilentNodes(
        ROUNDS.replace("exchange.join_timeout=0.2", "exchange.join_timeout=30"),
        lambda node, _: node == 12,
        lambda node, number: node != 12 or number >= 2,
    )
    metrics = run(tmp_path / "run", grid, "schedule=asynchronous exchange.join_timeout=30")
    assert len(metrics.rounds) == 8
    (thread,) = (each for each in threading.enumerate() if each.name == "ask-12")
    assert thread.daemon


def test_a_stranger_does_not_take_a_name_in_a_later_attempt(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    overrides = f"{ROUNDS} output.checkpoint_interval=0"

    class PowerCutError(BaseException):
        pass

    def cut(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.group_id == "3":
            raise PowerCutError
        return answer(message, context)

    with pytest.raises(PowerCutError):
        run_job(
            InProcessGrid(TamperedApp(cut), simulated_contexts(2, overrides)), configuration(overrides, directory), 1
        )
    members = directory / "members.json"
    assert members.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(members.read_text())) == {"part-0", "part-1"}

    def forge(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == JOIN and message.metadata.dst_node_id == 22:
            reply.content.config_records["node"]["token"] = "f" * 32
        return reply

    again = f"{overrides} resume='{directory}'"
    first, second = simulated_contexts(2, again).values()
    with pytest.raises(FederationError, match="the name part-1 is another node's in this training"):
        run_job(InProcessGrid(TamperedApp(forge), {21: first, 22: second}), configuration(again, directory), 1)
    run_job(InProcessGrid(app, {21: first, 22: second}), configuration(again, directory), 1)
    assert [len(each.clients) for each in read_metrics(directory).rounds] == [2] * 8


def test_with_two_bundles_under_way_an_answer_that_was_lost_is_given_again(tmp_path: Path) -> None:
    """The reply to round n is lost while round n + 1 was answered: the node still has the state before round n."""
    lost: list[str] = []

    class LosesOne(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            replies = list(super().pull_messages([each for each in message_ids if each not in lost]))
            for reply in replies:
                if reply.metadata.group_id == "3" and reply.metadata.src_node_id == 2 and not lost:
                    lost.append(reply.metadata.reply_to_message_id)
            return [each for each in replies if each.metadata.reply_to_message_id not in lost]

    extra = "exchange.in_flight=2 exchange.timeout=60"

    def trained(directory: Path, kind: type[InProcessGrid], patience: float) -> dict[str, torch.Tensor]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr("flower_dgan.flower.patience._SHORTEST", patience)
            overrides = f"{ROUNDS} {extra}"
            run_job(kind(app, simulated_contexts(2, overrides)), configuration(overrides, directory), 1)
        return load_generator(directory / "generator.safetensors")[0].state_dict()

    undisturbed = trained(tmp_path / "a", InProcessGrid, 10.0)
    disturbed = trained(tmp_path / "b", LosesOne, 0.5)
    assert lost
    torch.testing.assert_close(disturbed, undisturbed, rtol=0, atol=0)
    assert all(not each.rejected for each in read_metrics(tmp_path / "b").rounds)
