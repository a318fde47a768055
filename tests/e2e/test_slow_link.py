"""A real SuperLink, two real SuperNodes, and between them a link that is slow, or cut for a while."""

import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from flower_dgan.client_app import app as client_app
from flower_dgan.exactness import TOLERANCE, largest_relative_difference
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.node.book import Book
from flower_dgan.report.run_metrics import RunMetrics, read_metrics
from flower_dgan.resolve import resolve
from local_flower import superlink, supernode, write_app
from tests.pairs import make_folder
from tests.slow_link import SlowLink, slow_link

NAMES = ("north", "south")
PATIENCE = 290.0


def settings(data: Path, directory: Path, extra: str) -> str:
    """Return the overrides of a training with messages of 6.3 MB each way: 32 images of 128 x 128 x 3 in float32."""
    return (
        f"data=folder data.root='{data}' data.image_size=128 downstream=none exchange=single exchange.rounds=2 "
        "exchange.exchanges=8 exchange.batch_size=4 exchange.min_nodes=2 model.generator_width=4 "
        f"model.discriminator_width=4 output.synthetic_images=2 output.directory='{directory}' {extra}"
    )


def folders(scratch: Path) -> list[str]:
    """Return the node configurations of two owners with images of their own."""
    paths = [make_folder(scratch / name, sites=1, size=128) for name in NAMES]
    return [f'data-path="{path}" name="{name}" policy="research"' for path, name in zip(paths, NAMES, strict=True)]


def has_joined(directory: Path) -> bool:
    file = directory / "metrics.jsonl"
    return file.is_file() and file.read_text().count('"kind": "join"') == 2


def train(
    scratch: Path, rate: float, latency: float, extra: str, disturb: Callable[[SlowLink, int], None]
) -> tuple[str, RunMetrics, int]:
    """Train through a slow link; return the log, what was measured, and the bytes after the join.

    ``disturb`` is called in a thread when both have joined, with the link and the bytes that it had sent up then.
    """
    at_the_join: list[int] = []

    def watch(link: SlowLink) -> None:
        while not has_joined(scratch / "run"):
            time.sleep(0.02)
        at_the_join.append(link.bytes)
        disturb(link, link.bytes_up)

    with superlink() as flower, slow_link(flower.address, rate, latency) as link, ExitStack() as nodes:
        behind = replace(flower, address=link.address)
        for name, node_config in zip(NAMES, folders(scratch), strict=True):
            nodes.enter_context(supernode(behind, name, "--insecure", "--node-config", node_config))
        threading.Thread(target=watch, args=(link,), daemon=True).start()
        app = write_app(scratch / "app")
        log = flower.run(app, settings(scratch / NAMES[0], scratch / "run", extra), timeout=PATIENCE)
        return log, read_metrics(scratch / "run"), link.bytes - at_the_join[0]


def undisturbed(scratch: Path, extra: str) -> Path:
    """Return the directory of the same training in one process."""
    overrides = settings(scratch / NAMES[0], scratch / "one-process", extra)
    with Book().changing() as rows:  # the nodes have seen this seed, and would draw other images
        rows.execute("DELETE FROM trainings")
    contexts = simulated_contexts(2, overrides)
    for context, name in zip(contexts.values(), NAMES, strict=True):
        context.node_config = {"data-path": str(scratch / name), "name": name, "policy": "research"}
    run_job(InProcessGrid(client_app, contexts), resolve(overrides), 0)
    return scratch / "one-process"


def difference(scratch: Path, extra: str) -> float:
    ours, theirs = (
        load_generator(directory / "generator.safetensors")[0]
        for directory in (scratch / "run", undisturbed(scratch, extra))
    )
    return largest_relative_difference(ours, theirs)


def repeats(metrics: RunMetrics) -> dict[str, int]:
    return {name: sum(each.repeats.get(name, 0) for each in metrics.rounds) for name in NAMES}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "latency", "extra"),
    [(1e6, 0.02, ""), (0.4e6, 0.2, "exchange.rounds=1 exchange.message_mb=2")],
)
def test_nothing_is_sent_twice_over_a_slow_link(tmp_path: Path, rate: float, latency: float, extra: str) -> None:
    log, metrics, carried = train(tmp_path, rate, latency, extra, lambda *_: None)
    assert repeats(metrics) == dict.fromkeys(NAMES, 0)
    exchanged = [client for each in metrics.rounds for client in each.clients.values()]
    assert len(exchanged) == 2 * len(metrics.rounds)
    assert min(min(client.bytes_sent, client.bytes_received) for client in exchanged) > 5e6
    payload = sum(client.bytes_sent + client.bytes_received for client in exchanged)
    assert payload < carried < 1.1 * payload
    assert re.search(r"Waiting for (north|south): \d+", log)
    assert difference(tmp_path, extra) <= TOLERANCE


@pytest.mark.slow
def test_a_link_that_is_cut_amid_the_replies_changes_nothing(tmp_path: Path) -> None:
    def cut(link: SlowLink, before: int) -> None:
        while link.bytes_up < before + 2e6:  # of 6.3 of the first round
            time.sleep(0.05)
        link.cut()
        time.sleep(90)
        link.restore()

    extra = "exchange.exchanges=4"
    _, metrics, _ = train(tmp_path, 1e6, 0.05, extra, cut)
    assert [set(each.clients) for each in metrics.rounds] == [set(NAMES)] * 2
    assert max(metrics.rounds[0].seconds.values()) > 90
    assert max(repeats(metrics).values()) <= 1
    assert difference(tmp_path, extra) <= TOLERANCE
