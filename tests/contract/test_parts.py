"""A training whose messages travel in parts is the training whose messages do not."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from flwr.app import Context, Message
from torch import nn

from flower_dgan.client_app import app
from flower_dgan.exactness import largest_relative_difference
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import RunMetrics, read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import LABEL_MAPS
from flower_dgan.wire.parcels import PART
from tests.contract.conftest import TINY
from tests.pairs import make_folder


class CountingGrid(InProcessGrid):
    """Counts messages by type."""

    def __init__(self, contexts: dict[int, Context]) -> None:
        super().__init__(app, contexts)
        self.types: Counter[str] = Counter()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        messages = list(messages)
        self.types.update(message.metadata.message_type for message in messages)
        return super().push_messages(messages)


def run(directory: Path, pairs: Path, extra: str) -> tuple[nn.Module, RunMetrics, Counter[str]]:
    """Return the generator, what was measured, and the messages by type."""
    overrides = (
        f"{TINY} data=folder data.root='{pairs}' data.image_size=64 exchange.batch_size=8 "
        f"partition=iid exchange.generator_steps=2 output.directory='{directory}' {extra}"
    )
    grid = CountingGrid(simulated_contexts(2, overrides))
    run_job(grid, resolve(overrides), 0)
    return load_generator(directory / "generator.safetensors")[0], read_metrics(directory), grid.types


@pytest.mark.parametrize("extra", ["", "exchange.in_flight=2", "algorithm=mdgan", "algorithm=dgan-selective"])
def test_parts_change_no_bit(tmp_path: Path, extra: str) -> None:
    """16 images of 64 x 64 x 3 a message: 197 kB, deflated, and 393 kB of feedback, in messages of 100 kB."""
    make_folder(tmp_path / "pairs", images=20)
    whole, measured, types = run(tmp_path / "whole", tmp_path / "pairs", extra)
    parts, in_parts, more_types = run(tmp_path / "parts", tmp_path / "pairs", f"{extra} exchange.message_mb=0.1")
    assert largest_relative_difference(parts, whole) == 0
    assert types[PART] == 0
    assert more_types[PART] > 10
    del types[LABEL_MAPS]  # which the server keeps for the second training
    assert {kind: count for kind, count in more_types.items() if kind != PART} == types
    assert [each.clients.keys() for each in in_parts.rounds] == [each.clients.keys() for each in measured.rounds]
    for a, b in zip(in_parts.rounds, measured.rounds, strict=True):
        for name in a.clients:
            for counted in ("bytes_sent", "bytes_received"):  # but for the digits of the seconds that work took
                assert getattr(a.clients[name], counted) == pytest.approx(getattr(b.clients[name], counted), abs=99)
