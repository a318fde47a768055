"""A real SuperLink and real SuperNodes, each a process of its own, on loopback."""

import pytest

from flower_dgan.exactness import TOLERANCE, through_supernodes


@pytest.mark.parametrize(("warm", "rounds"), [(True, 10), pytest.param(False, 2, marks=pytest.mark.slow)])
def test_two_supernodes_are_the_reference(warm: bool, rounds: int) -> None:
    assert through_supernodes(2, rounds, warm=warm) <= TOLERANCE
