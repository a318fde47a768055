"""The two drivers of every algorithm; the real Flower runtime does the same in ``tests/e2e``."""

import pytest

from flower_dgan.exactness import TOLERANCE, through_in_process_grid


def test_three_clients_twenty_rounds() -> None:
    assert through_in_process_grid(3, 20) <= TOLERANCE


@pytest.mark.parametrize(
    "algorithm",
    [
        "uagan",
        "gman",
        "gman algorithm.sharpness=inf",
        "dgan-average",
        "dgan-selective",
        "dgan-selective algorithm.upload=random algorithm.discriminator_steps=2",
        "dgan-selective algorithm.upload=threshold",
        "dgan-selective algorithm.upload_share=1",
        "dgan-sequential",
        "dgan data.augmentation=all",
        "dgan partition=size partition.exponent=2 algorithm.largest_share=0.4",
        "uagan partition=size partition.exponent=2 algorithm.largest_share=0.4",
        "fusion",
        "fusion model=fusion-gate",
        "dgan-sequential model=fusion-mixture",
        "mdgan",
        "mdgan algorithm.shared_batches=1 algorithm.discriminator_steps=2",
        "mdgan algorithm.shared_batches=3 algorithm.swap_interval=2",
    ],
)
def test_each_algorithm_is_the_same_in_one_process(algorithm: str) -> None:
    assert through_in_process_grid(3, 5, f"algorithm={algorithm}") <= TOLERANCE
