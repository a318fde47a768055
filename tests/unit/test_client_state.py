import copy

import torch
from flwr.app import RecordDict
from torch import Tensor

from flower_dgan import client_state
from flower_dgan.algorithm.discriminator import DiscriminatorHalf
from flower_dgan.algorithm.exchange import SyntheticBatch
from flower_dgan.resolve import resolve
from flower_dgan.wiring import ImageShape, discriminator_half

SHAPE = ImageShape(2, 1, 16, ())
CONFIG = resolve("model.discriminator_width=4")


def batches(count: int) -> list[tuple[Tensor, SyntheticBatch]]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        real, images = torch.rand(2, 2, 1, 16, 16, generator=generator) * 2 - 1
        label_maps = torch.zeros(2, 2, 16, 16)
        label_maps[:, 0, :8], label_maps[:, 1, 8:] = 1, 1
        found.append((real, SyntheticBatch(images, label_maps)))
    return found


def fresh() -> DiscriminatorHalf:
    return discriminator_half(CONFIG, SHAPE, "breast")


def test_saving_between_messages_changes_nothing() -> None:
    """Weights and Adam's moments survive: four steps in one go, or saved after each."""
    at_once, state = fresh(), RecordDict()
    for round_number, (real, batch) in enumerate(batches(4), start=1):
        expected = at_once.step(real, batch)
        half = fresh()
        client_state.load(state, half)
        assert half.step(real, batch) == expected
        client_state.save(state, half, round_number)
        state = copy.deepcopy(state)
    torch.testing.assert_close(half.network.state_dict(), at_once.network.state_dict(), rtol=0, atol=0)
    assert client_state.last_round(state) == 4


def test_fresh_state_is_round_zero_and_leaves_the_half_alone() -> None:
    half, state = fresh(), RecordDict()
    before = copy.deepcopy(half.network.state_dict())
    client_state.load(state, half)
    torch.testing.assert_close(half.network.state_dict(), before, rtol=0, atol=0)
    assert client_state.last_round(state) == 0


def test_initial_weights_depend_on_client_and_seed_only() -> None:
    torch.manual_seed(5)
    first = fresh().network.state_dict()
    torch.manual_seed(6)
    torch.testing.assert_close(fresh().network.state_dict(), first, rtol=0, atol=0)
    other = discriminator_half(CONFIG, SHAPE, "kidney").network.state_dict()
    assert (other["layers.0.weight"] - first["layers.0.weight"]).abs().max() > 1e-3


def test_random_state_goes_on_where_it_was_and_leaves_the_process_alone() -> None:
    state, other = RecordDict(), RecordDict()
    torch.manual_seed(9)
    undisturbed = torch.rand(2)
    torch.manual_seed(9)
    with client_state.random_state(state, seed=3):
        first = torch.rand(2)
    with client_state.random_state(state, seed=3):
        second = torch.rand(2)
    with client_state.random_state(other, seed=3):
        both = torch.rand(4)
    torch.testing.assert_close(torch.cat([first, second]), both, rtol=0, atol=0)
    torch.testing.assert_close(torch.rand(2), undisturbed, rtol=0, atol=0)
