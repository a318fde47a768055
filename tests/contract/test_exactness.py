"""The papers' algorithms, one exchange a message in float32, through the in-process grid; the real Flower runtime does
the same in ``tests/e2e``."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from flower_dgan.client_app import app
from flower_dgan.exactness import (
    TOLERANCE,
    exactness_overrides,
    generator_of_one_process,
    largest_relative_difference,
    through_in_process_grid,
)
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.resolve import resolve
from flower_dgan.wire.question_message import EXCHANGE
from tests.reference.runs import train_product, train_reference

SMALL = "model.generator_width=4 model.discriminator_width=4 data.image_size=16 exchange.batch_size=4"


def test_what_users_verify_three_clients_twenty_rounds() -> None:
    assert through_in_process_grid(3, 20) <= TOLERANCE


@pytest.mark.parametrize(
    "algorithm",
    [
        "dgan",
        "uagan",
        "gman",
        "dgan-average",
        "dgan-selective",
        "dgan-selective algorithm.upload_share=1",
        "dgan-sequential",
        "dgan partition=size partition.exponent=2 algorithm.largest_share=0.4",
        "uagan partition=size partition.exponent=2 algorithm.largest_share=0.4",
        "fusion",
        "mdgan",
        "mdgan algorithm.shared_batches=1 algorithm.discriminator_steps=2",
        "mdgan algorithm.shared_batches=3 algorithm.swap_interval=2",
    ],
)
def test_each_algorithm_is_its_loop(algorithm: str, tmp_path: Path) -> None:
    overrides = exactness_overrides(5, tmp_path / "run", f"algorithm={algorithm} {SMALL}")
    ours, loop = train_product(overrides, 3, tmp_path / "run"), train_reference(resolve(overrides), 3)
    assert ours.difference(loop) <= TOLERANCE


@pytest.mark.parametrize("algorithm", ["dgan algorithm.gradient_penalty=1 model.levels=none", "dgan-images"])
def test_the_strong_networks_are_their_loop(algorithm: str, tmp_path: Path) -> None:
    """Of 32 pixels, the smallest that they take: one gradient an image, and images that the clients move."""
    small = "model=strong model.generator_width=1 model.discriminator_width=2 data.image_size=32 exchange.batch_size=2"
    overrides = exactness_overrides(3, tmp_path / "run", f"algorithm={algorithm} {small}")
    ours, loop = train_product(overrides, 2, tmp_path / "run"), train_reference(resolve(overrides), 2)
    assert ours.difference(loop) <= TOLERANCE


class LatestFirst(InProcessGrid):
    """Gives the replies of a round when all three are there, the last one first."""

    def __init__(self, app: ClientApp, contexts: Mapping[int, Context]) -> None:
        super().__init__(app, contexts)
        self.arrived: list[int] = []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        (message_id,) = message_ids
        reply = self._replies[message_id]
        if reply.metadata.message_type == EXCHANGE:
            node, before = reply.metadata.src_node_id, len(self.arrived) % 3
            if node != 3 - before or (not before and len(self._replies) < 3):
                return []
            self.arrived.append(node)
        return super().pull_messages([message_id])


@pytest.mark.parametrize("algorithm", ["uagan", "gman", "mdgan algorithm.swap_interval=2", "dgan"])
def test_the_order_in_which_answers_come_changes_nothing(algorithm: str, tmp_path: Path) -> None:
    uneven = "partition=size partition.exponent=2"
    overrides = exactness_overrides(3, tmp_path / "run", f"algorithm={algorithm} {uneven} {SMALL}")
    config = resolve(overrides)
    grid = LatestFirst(app, simulated_contexts(3, overrides))
    run_job(grid, config, 0)
    assert grid.arrived == [3, 2, 1] * 3
    network, _, _ = load_generator(tmp_path / "run/generator.safetensors")
    assert largest_relative_difference(network, generator_of_one_process(config, 3)) == 0
