"""The papers' algorithms, one exchange a message in float32, through the in-process grid; the real Flower runtime does
the same in ``tests/e2e``."""

from pathlib import Path

import pytest

from flower_dgan.exactness import TOLERANCE, exactness_overrides, through_in_process_grid
from flower_dgan.resolve import resolve
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
