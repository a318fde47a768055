"""Trainings whose clients send one sum together: the server reads that sum, and of no part anything."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Error, Message

from flower_dgan.errors import FederationError, StorageError
from flower_dgan.federation.masked_start import _read
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.privacy.masks import add_up
from flower_dgan.privacy.noise import GRID
from flower_dgan.report.run_files import files_of_run
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.wire.join_messages import JOIN, LEAVE
from flower_dgan.wire.masked_sum_messages import MASKED_SUM, SUM_KEY
from flower_dgan.wire.refusals import Refusal

from .conftest import Federation, Reply, TamperedApp

TOGETHER = (
    "privacy=moments-together algorithm.honest_sites=3 data.condition=class data.classes=10 algorithm.frequencies=50 "
    "algorithm.epsilon=10 exchange.rounds=2 exchange.exchanges=2 exchange.generator_steps=2 exchange.batch_size=4 "
    "model.generator_width=8 output.checkpoint_interval=0"
)


class Wire:
    """Keeps what nodes answer; while they are ``away`` the third does not send its part, and the fourth no key."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.answers: list[tuple[int, str, Message]] = []

    def __call__(self, message: Message, context: Context, answer: Reply) -> Message:
        kind = message.metadata.message_type
        if self.away and (context.node_id, kind) in ((3, MASKED_SUM), (4, SUM_KEY)):
            return Message(Error(code=Refusal.FAILED, reason=Refusal.FAILED.sentence), reply_to=message)
        reply = answer(message, context)
        self.answers.append((context.node_id, kind, reply))
        return reply

    def parts(self) -> list[np.ndarray]:
        found = [reply for _, kind, reply in self.answers if kind == MASKED_SUM and not reply.has_error()]
        return [reply.content.array_records["masked-sum"]["words"].numpy() for reply in found]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wire, RunDirectory]:
    wire = Wire()
    federation = Federation(tmp_path_factory.mktemp("together"))
    return wire, federation.run(TOGETHER, clients=3, client_app=TamperedApp(wire))


def test_each_sends_a_key_and_one_vector_and_nothing_else(trained: tuple[Wire, RunDirectory]) -> None:
    wire, directory = trained
    assert [(node, kind) for node, kind, _ in wire.answers] == [
        (node, kind) for kind in (JOIN, SUM_KEY, MASKED_SUM, LEAVE) for node in (1, 2, 3)
    ]
    assert {key for _, kind, reply in wire.answers if kind == SUM_KEY for key in reply.content["sum-key"]} == {
        "protocol-version",
        "offer",
    }
    assert len(read_metrics(directory.path).rounds) == 2
    assert len(list((directory.synthetic / "images").iterdir())) == 6
    assert (directory.path / "sum-keys.json").is_file()
    assert files_of_run(directory.path)[1] == []


def test_the_sum_has_the_patients_of_all_and_a_part_is_uniform(trained: tuple[Wire, RunDirectory]) -> None:
    """1,437 patients within five deviations of the noise of ten counts; a part alone is far beyond any sum."""
    parts = trained[0].parts()
    total = add_up(parts) / GRID
    assert total[:, -1].sum() / 0.05**0.5 == pytest.approx(1437, abs=5 * 0.4999 * (10 / 0.05) ** 0.5)
    for part in parts:
        assert np.abs(part.view(np.int64).astype(float)).mean() == pytest.approx(2**62, rel=0.1)


def test_the_report_has_both_figures(trained: tuple[Wire, RunDirectory]) -> None:
    """Alone, noise is sqrt(3) times less: of sigma 0.4999 / 1.7321 = 0.2886 epsilon at 1e-5 is 20.1."""
    report = (trained[1].path / "report.md").read_text()
    assert "| part-0 | 10 | 20.1 | 1e-05 | 0.4999 |" in report
    assert "epsilon if 3 sites are honest" in report


def test_without_one_part_nothing_is_released_and_a_resumed_run_gets_it(tmp_path: Path) -> None:
    """Of the same three, though the fourth is there now: they would send nothing for another list."""
    federation, wire = Federation(tmp_path), Wire(away=True)
    with pytest.raises(FederationError, match=r"2 of 3 clients sent .* part-2: The node failed.* charges nobody twice"):
        federation.run(TOGETHER, clients=4, client_app=TamperedApp(wire))
    wire.away = False
    federation.run(f"{TOGETHER} resume='{federation.directory}'", clients=4, client_app=TamperedApp(wire))
    first, second, *again = wire.parts()
    assert (again[0] == first).all()
    assert (again[1] == second).all()
    assert len(again) == 3


@pytest.mark.parametrize("kept", ["", "[]", '{"part-0": 7}', '{"part-0": "abcd"}', '{"part-0": "zz"}'])
def test_keys_that_were_damaged_are_named(kept: str, tmp_path: Path) -> None:
    """Others instead would have every owner charged for nothing."""
    path = tmp_path / "sum-keys.json"
    path.write_text(kept)
    with pytest.raises(StorageError, match=r"sum-keys\.json cannot be read"):
        _read(path)


def test_one_node_alone_has_nobody_to_add_up_with(federation: Federation) -> None:
    with pytest.raises(FederationError, match=r"1 clients take part in a sum that wants 2 .*privacy=moments"):
        federation.run(TOGETHER.replace("honest_sites=3", "honest_sites=1"), clients=1)


def test_fewer_nodes_than_the_shares_of_noise_are_made_for(federation: Federation) -> None:
    with pytest.raises(FederationError, match=r"2 clients take part in a sum that wants 3"):
        federation.run(TOGETHER, clients=2)
