import torch

from flower_dgan.randomness import derive_generator, derive_seed


def test_seeds_depend_on_every_name_and_on_nothing_else() -> None:
    seeds = {derive_seed(0, "a", 1), derive_seed(1, "a", 1), derive_seed(0, "b", 1), derive_seed(0, "a", 2)}
    assert len(seeds) == 4
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc")
    assert all(0 <= seed < 2**63 for seed in seeds)
    first = torch.rand(3, generator=derive_generator(0, "a"))
    torch.testing.assert_close(first, torch.rand(3, generator=derive_generator(0, "a")))
