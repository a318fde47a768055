"""Clients that lack some channels of the images, through the real strategy and the real ClientApp."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message

from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.comparison.image_sets import read_images
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.exactness import exactness_overrides
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import JOIN
from tests.pairs import write_digits
from tests.reference.runs import TOLERANCE, train_product, train_reference

from .conftest import TINY, Federation, Reply, TamperedApp
from .test_asynchronous import run as run_asynchronously

LACKING = "data.missing_channels='[[part-0,[3]],[part-2,[0,1]]]'"


@pytest.fixture
def four(tmp_path: Path) -> str:
    """Return overrides for digits with four channels."""
    write_digits(tmp_path / "data", ("a", "b", "c"), channels=4)
    chosen = "algorithm=dgan model=small-all-sites"
    return f"data=folder data.root='{tmp_path / 'data'}' data.image_size=32 data.channels=4 {chosen}"


@pytest.mark.parametrize("algorithm", ["dgan", "gman", "mdgan"])
def test_each_algorithm_is_its_loop(four: str, algorithm: str, tmp_path: Path) -> None:
    chosen = four.replace("algorithm=dgan", f"algorithm={algorithm}")
    overrides = exactness_overrides(5, tmp_path / "run", f"{chosen} {LACKING}")
    ours, loop = train_product(overrides, 3, tmp_path / "run"), train_reference(resolve(overrides), 3)
    assert ours.difference(loop) <= TOLERANCE


def test_only_held_channels_travel(four: str, federation: Federation) -> None:
    shapes: dict[int, set[tuple[int, ...]]] = {}

    def note(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        for content, name, key in ((message.content, "synthetic", "images"), (reply.content, "feedback", "gradients")):
            if name in content.array_records:
                shapes.setdefault(context.node_id, set()).add(tuple(content.array_records[name][key].shape))
        return reply

    formats = "exchange.image_format=float32 exchange.feedback_format=float32"
    run = federation.run(f"{four} {LACKING} {formats}", clients=3, client_app=TamperedApp(note))
    # 2 exchanges of 4 images, both ways
    assert shapes == {1: {(8, 3, 32, 32)}, 2: {(8, 4, 32, 32)}, 3: {(8, 2, 32, 32)}}
    metrics = read_metrics(run.path)
    assert [join.channels for join in metrics.joins] == ["0, 1, 2", "all", "2, 3"]
    last = metrics.rounds[-1].clients
    a_channel = 8 * 32 * 32 * 4
    for name, lacks in (("part-0", 1), ("part-2", 2)):
        for saved in (
            last["part-1"].bytes_received - last[name].bytes_received,
            last["part-1"].bytes_sent - last[name].bytes_sent,
        ):
            assert abs(saved - lacks * a_channel) < 200
    assert len(read_images(run.synthetic, 4)) == 6


def test_rows_fill_missing_channels_with_black(four: str, federation: Federation) -> None:
    rows = "downstream=digits downstream.steps=2 downstream.seeds=1 downstream.batch_size=2"
    asked = f"{four} {LACKING} {rows} downstream.rows=[Real-All,Real-k,Local-k,Syn-All,DGAN,FedAvg]"
    run = federation.run(asked, clients=3)
    names = [f"{row}-part-{k}" for row in ("Real", "Local") for k in range(3)]
    assert {each.row for each in read_metrics(run.path).tstr} == {"Real-All", "Syn-All", "DGAN", "FedAvg", *names}
    clients = open_federation(resolve(f"{TINY} {asked}"), 3)
    sums = [np.stack(pairs.images).sum((0, 1, 2)) > 0 for pairs in clients.real]
    assert [each.tolist() for each in sums] == [[True, True, True, False], [True] * 4, [False, False, True, True]]


def test_wrong_simulated_clients(four: str, federation: Federation) -> None:
    with pytest.raises(FederationError, match=r"No client holds channel 3 of 0 .. 3"):
        federation.run(f"{four} data.missing_channels='[[part-0,[3]],[part-1,[3]]]'")
    with pytest.raises(FederationError, match=r"Unknown client in data.missing_channels 'part-9'.*'part-"):
        Federation(federation.directory).run(f"{four} data.missing_channels='[[part-9,[3]]]'")


def test_a_node_that_was_started_again_with_other_channels(
    four: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    joins = 0

    def forget(message: Message, context: Context, answer: Reply) -> Message:
        nonlocal joins
        reply = answer(message, context)
        if message.metadata.message_type == JOIN and context.node_id == 2:
            joins += 1
            reply.content.config_records["node"]["channels"] = [0, 1, 2, 3] if joins == 1 else [0, 2]
        return reply

    metrics = run_asynchronously(
        tmp_path / "run",
        four,
        present=lambda number: [1, 2, 3] if number < 2 else [1, 12, 3],
        client_app=TamperedApp(forget),
    )
    assert "part-1" not in metrics.rounds[-1].clients
    assert "node 12 (part-1): it holds other channels than before" in caplog.text


def test_deployed_nodes_say_what_their_files_hold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_digits(tmp_path / "all", ("a",), channels=3)
    write_digits(tmp_path / "two", ("a",), channels=2)
    asked = f"data=folder {TINY} data.image_size=32 data.channels=3 algorithm=dgan model=small-all-sites"

    def run(overrides: str, **lacking: str) -> Path:
        overrides = f"{overrides} output.directory='{tmp_path / str(len(list(tmp_path.iterdir())))}'"
        contexts = simulated_contexts(2, overrides)
        contexts[1].node_config = {"data-path": str(tmp_path / "all"), "name": "whole", "policy": "research"}
        contexts[2].node_config = {"data-path": str(tmp_path / "two"), "name": "half", "policy": "research", **lacking}
        return run_job(InProcessGrid(app, contexts), resolve(overrides), 1).path

    assert len(read_images(run(asked, channels="0,2") / "synthetic", 3)) == 6

    def refused(reason: str, overrides: str = asked, **lacking: str) -> None:
        """What is wrong is in the node's log alone."""
        caplog.clear()
        with caplog.at_level("ERROR", logger="flwr"), pytest.raises(FederationError) as error:
            run(overrides, **lacking)
        assert reason in caplog.text
        assert reason not in str(error.value)

    refused("has 2 channels, and data.channels=3")
    refused('channels="0,3": name those of 0 .. 2', channels="0,3")
    refused("data.missing_channels is for simulations", f"{asked} data.missing_channels='[[half,[1]]]'", channels="0,2")
    with pytest.raises(ConfigError, match=r"Some clients hold only some of the channels: .* no fusion"):
        run(asked.replace("algorithm=dgan model=small-all-sites", "algorithm=fusion"), channels="0,2")
