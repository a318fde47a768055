"""The main job from join to report."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Context, Message
from PIL import Image

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.data import open_source
from flower_dgan.federation.claims import Claims
from flower_dgan.federation.join import JoinedClient, image_shape, join
from flower_dgan.federation.round_report import RoundReport
from flower_dgan.federation.strategy import DganStrategy
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_files import files_of_run
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.event_reader import read_events
from flower_dgan.tasks.segmentation.columns import OBJECTS
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import server_state, threads

from .conftest import TINY, Federation, Reply, TamperedApp

TRAINING = Training("0123456789abcdef", 1)
REAL_ROWS = ("Real-labels 0-4", "Real-labels 5-9", "Real-labels 0-4+DGAN", "Real-labels 5-9+DGAN")
ROWS = "downstream.rows=[Real-All,Real-k,Real-k+DGAN,Untrained,Syn-All,DGAN]"
TABLE = f"downstream=digits downstream.steps=2 downstream.seeds=2 {ROWS} data.test_fraction=0.02"


def test_run_directory_holds_everything(federation: Federation, drawn_figures: None) -> None:
    path = federation.run(f"{TABLE} partition=label").path
    metrics = read_metrics(path)
    assert [join.site for join in metrics.joins] == ["labels 0-4", "labels 5-9"]
    assert [r.round for r in metrics.rounds] == [1, 2]
    # 2 clients, 2 exchanges of 4 images
    assert [r.images for r in metrics.rounds] == [16, 16]
    assert {(t.row, t.seed) for t in metrics.tstr} == {
        (row, seed) for row in ("Real-All", *REAL_ROWS, "Untrained", "Syn-All", "DGAN") for seed in (0, 1)
    }
    assert {m.who for m in metrics.memory} == {"server", "labels 0-4", "labels 5-9"}
    assert all(m.peak_mib > 50 for m in metrics.memory)
    report = (path / "report.md").read_text()
    for row in ("Real-All", "Real-labels 5-9", "Syn-All", "DGAN"):
        assert row in report
    assert (path / "curves.png").stat().st_size > 1000
    grids = {f"round-0000{number}{suffix}" for number in (1, 2) for suffix in ("", ".png")}
    assert {p.name for p in (path / "samples").iterdir()} == {*grids, "always"}
    events = read_events(path)
    assert all(event.record is not None and event.time for event in events)
    training = "begin device stage-begin stage classes join ledger round samples generator record memory end"
    assert {event.kind for event in events} - {"heartbeat"} == {*training.split(), "tstr"}
    assert [event.time for event in events] == sorted(event.time or 0 for event in events)
    files = [file for event in events if event.kind == "samples" for file in event.record.files]
    assert {(each.site, each.column) for each in files} == {
        (site, column) for site in ("labels 0-4", "labels 5-9") for column in ("label map", "draw 1", "draw 2", "real")
    }
    assert all((path / each.file).is_file() for each in files)
    kept = [event.record.file for event in events if event.kind == "generator"]
    assert load_generator(path / kept[-1])[2].sites == ("labels 0-4", "labels 5-9")
    begun, ended = ([e.record.name for e in events if e.kind == kind] for kind in ("stage-begin", "stage"))
    assert begun == ended == ["join", "training", "synthetic dataset", "centralised GAN", "segmentation"]
    # label map, two draws and the embedded real image, 8 rows, twice as large
    assert Image.open(path / "samples" / "round-00002.png").size == (4 * 32 * 2, 8 * 32 * 2)
    images, masks = sorted((path / "synthetic/images").iterdir()), sorted((path / "synthetic/masks").iterdir())
    assert [p.name for p in images] == [p.name for p in masks]
    assert len(images) == 6
    assert Image.open(images[0]).size == (32, 32)
    assert set(np.unique(np.asarray(Image.open(masks[0])))) == {0, 255}
    assert files_of_run(path)[1] == [], "`flower-dgan clean` knows each of its files"


def test_segmentation_without_pooled_data_is_a_row_with_its_traffic(federation: Federation) -> None:
    asked = f"{TABLE} downstream.rows=[DGAN,FedAvg] partition=label"
    asked += " downstream.metrics=[dice,object-dice]"
    path = federation.run(asked).path
    metrics = read_metrics(path)
    assert [(t.row, t.seed) for t in metrics.tstr] == [("DGAN", 0), ("DGAN", 1), ("FedAvg", 0), ("FedAvg", 1)]
    assert {(*t.values, t.remark) for t in metrics.tstr} == {("dice", "object-dice", OBJECTS["components"])}
    assert [(t.row, t.site, t.rounds) for t in metrics.traffic] == [
        ("FedAvg", "labels 0-4", 2),
        ("FedAvg", "labels 5-9", 2),
    ]
    # 0.4 M parameters and more, 4 bytes each, once a round in each direction
    assert all(min(t.bytes_sent, t.bytes_received) > 2 * 4 * 400_000 for t in metrics.traffic)
    (dgan,) = (line for line in (path / "report.md").read_text().splitlines() if line.startswith("| DGAN |"))
    crossed = sum(record.bytes for record in metrics.records)
    assert dgan.endswith(f"| {crossed / 2:,.0f} | 2 |")


def test_classification_is_a_table_with_the_same_rows(federation: Federation) -> None:
    rows = "downstream.rows=[Real-All,Real-k,Untrained,Syn-All,DGAN,FedGAN,FedAvg,Local-k]"
    asked = f"data.condition=class downstream=classification downstream.steps=2 downstream.seeds=2 {rows}"
    path = federation.run(f"{asked} data.test_fraction=0.1").path
    metrics = read_metrics(path)
    clients = ("part-0", "part-1")
    local = [f"{kind}-{name}" for kind in ("Real", "Local") for name in clients]
    assert {(t.row, t.seed) for t in metrics.tstr} == {
        (row, seed)
        for row in ("Real-All", "Untrained", "Syn-All", "DGAN", "FedGAN", "FedAvg", *local)
        for seed in (0, 1)
    }
    assert {(*t.values, t.remark) for t in metrics.tstr} == {("accuracy", "f1", "")}
    # every accuracy is a whole number of the held-out images
    test = open_source(resolve("data.condition=class downstream=none data.test_fraction=0.1").data).test
    hits = [t.values["accuracy"] * len(test) for t in metrics.tstr]
    assert hits == pytest.approx([round(each) for each in hits])
    # the small CNN has 22,000 parameters, 4 bytes each, once a round in each direction
    sent = [t.bytes_sent for t in metrics.traffic if t.row == "FedAvg"]
    assert all(2 * 4 * 21_000 < each < 2 * 4 * 26_000 for each in sent)
    assert {"classification", "federated classification"} <= {stage.name for stage in metrics.stages}
    report = (path / "report.md").read_text()
    assert "| trained on | accuracy | F1 | accuracy / Real-All | seeds | bytes a client | rounds |" in report


def test_bytes_in_the_metrics_are_those_of_the_messages(federation: Federation) -> None:
    path = federation.run("exchange.image_format=uint8 exchange.feedback_format=float16").path
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    records = {(r["site"], r["direction"], r["record"], r["key"]): r for r in lines if r["kind"] == "record"}
    images = records["part-0", "to node", "synthetic", "images"]
    gradients = records["part-0", "from node", "feedback", "gradients"]
    # two rounds of 8 samples of 32 x 32 pixels; numpy's header is 128 bytes; images of strokes on white deflate well
    assert images["messages"] == 2
    assert 2 * 128 < images["bytes"] < 2 * 8 * 32 * 32
    assert (gradients["dtype"], gradients["bytes"]) == ("float16", 2 * (8 * 32 * 32 * 2 + 128))
    left = {(r["record"], r["key"]) for r in records.values() if r["direction"] == "from node"}
    assert left == {
        ("node", "protocol-version"),
        ("node", "name"),
        ("node", "images"),
        ("node", "channels"),
        ("node", "classes"),
        ("node", "queue"),
        ("node", "token"),
        ("node", "levels"),
        ("node", "policy"),
        ("node", "publish"),
        ("node", "label-maps-hash"),
        ("label-maps", "shapes"),
        ("label-maps", "data"),
        ("feedback", "losses"),
        ("feedback", "gradients"),
        ("feedback", "scales"),
        ("metrics", "discriminator-loss"),
        ("metrics", "busy-seconds"),
        ("metrics", "compute-seconds"),
        ("metrics", "peak-memory-mib"),
    }
    sent = sum(r["clients"]["part-0"]["bytes_sent"] for r in lines if r["kind"] == "round")
    assert sent == sum(
        r["bytes"]
        for (site, way, record, _), r in records.items()
        if (site, way) == ("part-0", "from node") and record in ("feedback", "metrics")
    )


def test_label_maps_travel_once(federation: Federation, own_home: Path) -> None:
    first = federation.run().path
    assert len(list((own_home / "cache").rglob("*.npz"))) == 2
    federation.directory = federation.directory.with_name("second")
    second = federation.run().path
    for path, count in ((first, 2), (second, 0)):
        records = read_metrics(path).records
        assert len([r for r in records if (r.record, r.key) == ("label-maps", "data")]) == count


def test_generator_file_draws_what_the_run_drew(federation: Federation) -> None:
    path = federation.run().path
    network, model, shape = load_generator(path / "generator.safetensors")
    assert model.generator == "small"
    assert shape.sites == ("part-0", "part-1")
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())


def test_runs_repeat_exactly(federation: Federation) -> None:
    first = federation.run().path
    federation.directory = federation.directory.with_name("second")
    second = federation.run().path
    federation.directory = federation.directory.with_name("third")
    third = federation.run("seed=1").path
    weights = [load_generator(path / "generator.safetensors")[0].state_dict() for path in (first, second, third)]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert (weights[0]["leave.weight"] - weights[2]["leave.weight"]).abs().max() > 1e-3


@pytest.mark.parametrize("in_flight", [1, 2])
def test_bundles_in_flight_give_what_the_plain_loop_gives(federation: Federation, in_flight: int) -> None:
    extra = (
        f"exchange.rounds=4 exchange.image_format=float32 exchange.feedback_format=float32 "
        f"exchange.in_flight={in_flight} algorithm.average_decay=0 algorithm.final_rate=1"
    )
    path = federation.run(extra).path
    config = resolve(f"{TINY} {extra}")
    local = open_federation(config, 2)
    state = local.state(config)
    with threads(1):
        train(algorithm_of(config), state, local.sessions(config), in_flight=in_flight)
    ours = load_generator(path / "generator.safetensors")[0].state_dict()
    torch.testing.assert_close(ours, state.generator.network.state_dict(), rtol=0, atol=0)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    # one generator step a round
    assert [line["staleness"] for line in lines if line["kind"] == "round"] == [0, *[in_flight - 1] * 3]


@pytest.mark.parametrize("formats", [("float32", "float32"), ("uint8", "float16"), ("uint8", "int8")])
def test_every_wire_format_trains(federation: Federation, formats: tuple[str, str]) -> None:
    images, gradients = formats
    path = federation.run(f"exchange.image_format={images} exchange.feedback_format={gradients}").path
    dtypes = {(r.record, r.key): r.dtype for r in read_metrics(path).records}
    deflated = {"int8": "uint8"}
    assert (dtypes["synthetic", "images"], dtypes["feedback", "gradients"]) == (
        images,
        deflated.get(gradients, gradients),
    )


class TwiceReadingGrid(InProcessGrid):
    """Reads what it is to push twice, as Flower's own grid does."""

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        count = len(list(messages))
        assert len(list(messages)) == count
        return super().push_messages(messages)


def strategy_of(
    config: Config, clients: Sequence[JoinedClient], on_round: Callable[[RoundReport], None]
) -> DganStrategy:
    state = server_state(config, image_shape(config, clients), {client.name: client.labels for client in clients})
    return DganStrategy(algorithm_of(config), state, clients, config, TRAINING, on_round)


def test_the_strategy_runs_on_flowers_own_grid(tmp_path: Path) -> None:
    config = resolve(f"{TINY} exchange.in_flight=1")
    grid = TwiceReadingGrid(app, simulated_contexts(2, f"{TINY} exchange.in_flight=1"))
    clients = join(grid, config, tmp_path, TRAINING, Claims(tmp_path / "members.json"))
    reports: list[RoundReport] = []
    strategy = strategy_of(config, clients, reports.append)
    strategy.start(grid=grid, initial_arrays=ArrayRecord(), num_rounds=2)
    assert [set(report.clients) for report in reports] == [{"part-0", "part-1"}] * 2


def test_bundles_ahead_need_the_fast_grid(tmp_path: Path) -> None:
    config = resolve(f"{TINY} exchange.in_flight=2")
    grid = InProcessGrid(app, simulated_contexts(2, f"{TINY} exchange.in_flight=2"))
    clients = join(grid, config, tmp_path, TRAINING, Claims(tmp_path / "members.json"))
    strategy = strategy_of(config, clients, lambda _: None)
    with pytest.raises(TypeError, match="need a FastGrid"):
        strategy.start(grid=grid, initial_arrays=ArrayRecord(), num_rounds=2)


def test_nodes_forget_the_run(federation: Federation, own_home: Path) -> None:
    federation.run()
    assert [path for path in (own_home / "state").rglob("*") if path.is_file()] == []


def test_a_node_whose_memory_is_lost_is_left_out_by_name(federation: Federation, own_home: Path) -> None:
    def lose_memory(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.group_id == "3" and context.node_id == 2:
            for kept in (own_home / "state").rglob("1 of 2/round-*.safetensors"):
                kept.unlink()
        return answer(message, context)

    path = federation.run("exchange.rounds=4 exchange.in_flight=1", client_app=TamperedApp(lose_memory)).path
    rounds = read_metrics(path).rounds
    assert [set(each.clients) for each in rounds] == [{"part-0", "part-1"}] * 2 + [{"part-0"}] * 2
    assert "the node's memory of this training is gone" in rounds[2].rejected["part-1"]
