"""The in-process grid against the one-process reference; the real Flower runtime does the same in ``tests/e2e``."""

from flower_dgan.exactness import TOLERANCE, through_in_process_grid


def test_three_clients_twenty_rounds() -> None:
    assert through_in_process_grid(3, 20) <= TOLERANCE
