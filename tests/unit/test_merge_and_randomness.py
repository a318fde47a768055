import pytest
import torch

from flower_dgan.algorithm.merge import client_weights
from flower_dgan.algorithm.randomness import derive_generator, derive_seed


def test_weights() -> None:
    assert client_weights("samples", [10, 30]) == (0.25, 0.75)
    assert client_weights("equal", [10, 30]) == (0.5, 0.5)


@pytest.mark.parametrize("counts", [[], [3, 0]])
def test_weights_need_clients_with_images(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        client_weights("samples", counts)


def test_seeds_depend_on_every_name_and_on_nothing_else() -> None:
    seeds = {derive_seed(0, "a", 1), derive_seed(1, "a", 1), derive_seed(0, "b", 1), derive_seed(0, "a", 2)}
    assert len(seeds) == 4
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc")
    assert all(0 <= seed < 2**63 for seed in seeds)
    first = torch.rand(3, generator=derive_generator(0, "a"))
    torch.testing.assert_close(first, torch.rand(3, generator=derive_generator(0, "a")))
