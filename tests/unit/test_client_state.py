import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from flower_dgan.algorithm.discriminator import DiscriminatorHalf
from flower_dgan.algorithm.exchange import SyntheticBatch
from flower_dgan.client_state import ClientState
from flower_dgan.data import Pairs
from flower_dgan.errors import FederationError, ProtocolError
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


def some_pairs() -> Pairs:
    rng = np.random.default_rng(2)
    shapes = [(16, 20), (17, 16), (16, 16)]
    images = tuple(rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes)
    return Pairs(images, tuple(rng.integers(0, 4, shape, dtype=np.uint8) for shape in shapes), 4)


@pytest.fixture
def state() -> ClientState:
    state = ClientState(run_id=1, node_id=2)
    state.join("breast", some_pairs(), CONFIG)
    return state


def step(state: ClientState, round_number: int, answered: int = 0) -> float:
    half, (real, batch) = fresh(), batches(round_number)[-1]
    with state.answering(half, round_number, answered=answered, seed=3):
        return half.step(real, batch)


def kept(state: ClientState, round_number: int) -> dict[str, Tensor]:
    """Return the network that the next round would start from."""
    half = fresh()
    with pytest.raises(InterruptedError), state.answering(half, round_number, answered=0, seed=3):
        raise InterruptedError
    return half.network.state_dict()


def test_keeping_it_between_messages_changes_nothing(state: ClientState) -> None:
    """Weights and Adam's moments survive: four steps in one go, or one in each message."""
    at_once = fresh()
    for round_number, (real, batch) in enumerate(batches(4), start=1):
        assert step(state, round_number) == at_once.step(real, batch)
    torch.testing.assert_close(kept(state, 5), at_once.network.state_dict(), rtol=0, atol=0)


def test_a_process_that_dies_leaves_the_round_before(state: ClientState) -> None:
    step(state, 1)
    before = kept(state, 2)

    def die_after_a_step() -> None:
        half, (real, batch) = fresh(), batches(2)[-1]
        with state.answering(half, 2, answered=1, seed=3):
            half.step(real, batch)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        die_after_a_step()
    torch.testing.assert_close(kept(state, 2), before, rtol=0, atol=0)


def test_pairs_come_back_from_disk_as_they_were(state: ClientState) -> None:
    (name, pairs, config), original = state.joined(), some_pairs()
    assert (name, pairs.classes, config) == ("breast", 4, CONFIG)
    for ours, theirs in zip(pairs.images + pairs.label_maps, original.images + original.label_maps, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert not ours.flags.writeable


def test_only_the_owner_can_read_what_is_kept(state: ClientState) -> None:
    assert state.path.stat().st_mode & 0o777 == 0o700


def test_runs_and_nodes_do_not_mix(state: ClientState) -> None:
    step(state, 1)
    for other in (ClientState(1, 3), ClientState(2, 2)):
        with pytest.raises(FederationError, match="has not joined"):
            other.joined()
        other.join("kidney", some_pairs(), CONFIG)
        torch.testing.assert_close(kept(other, 1), fresh().network.state_dict(), rtol=0, atol=0)
        other.leave()
    assert state.joined()[0] == "breast"
    assert (kept(state, 2)["layers.0.weight"] - fresh().network.state_dict()["layers.0.weight"]).abs().max() > 1e-5


def test_joining_and_leaving_forget_what_was(state: ClientState) -> None:
    step(state, 1)
    state.join("breast", some_pairs(), CONFIG)
    torch.testing.assert_close(kept(state, 1), fresh().network.state_dict(), rtol=0, atol=0)
    state.leave()
    assert not state.path.exists()
    state.leave()


def test_a_round_is_answered_once(state: ClientState) -> None:
    step(state, 3)
    for round_number in (1, 3):
        with pytest.raises(ProtocolError, match=f"round {round_number} was answered already"):
            step(state, round_number)


def test_a_lost_memory_is_no_fresh_start(state: ClientState) -> None:
    with pytest.raises(FederationError, match=r"answer to round 4, but .* knows of round 0"):
        step(state, 5, answered=4)


def test_initial_weights_depend_on_client_and_seed_only() -> None:
    torch.manual_seed(5)
    first = fresh().network.state_dict()
    torch.manual_seed(6)
    torch.testing.assert_close(fresh().network.state_dict(), first, rtol=0, atol=0)
    other = discriminator_half(CONFIG, SHAPE, "kidney").network.state_dict()
    assert (other["layers.0.weight"] - first["layers.0.weight"]).abs().max() > 1e-3


def test_random_state_goes_on_where_it_was_and_leaves_the_process_alone(state: ClientState) -> None:
    torch.manual_seed(9)
    undisturbed = torch.rand(2)
    torch.manual_seed(9)
    drawn = []
    for round_number in (1, 2):
        with state.answering(fresh(), round_number, answered=0, seed=3):
            drawn.append(torch.rand(2))
    expected = torch.rand(4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(torch.cat(drawn), expected, rtol=0, atol=0)
    torch.testing.assert_close(torch.rand(2), undisturbed, rtol=0, atol=0)


def test_what_is_kept_does_not_depend_on_earlier_files(state: ClientState) -> None:
    step(state, 1)
    first = copy.deepcopy(kept(state, 2))
    state.join("breast", some_pairs(), CONFIG)
    step(state, 1)
    torch.testing.assert_close(kept(state, 2), first, rtol=0, atol=0)
