"""The generator's pass is kept until the feedback on its images is there, where that changes nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from flower_dgan.gan.exchange import Feedback, GeneratorInput, Proposal
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.kept_graphs import KeptGraphs
from flower_dgan.gan.replay import Replay
from flower_dgan.networks.resnet import ResnetGenerator
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.resolve import resolve

CLIENTS = ("a", "b", "c")
GRADIENT = Replay("gradient")


class Counting(nn.Module):
    """Counts the passes of a generator."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.passes = 0

    def forward(self, inputs: GeneratorInput) -> Tensor:
        self.passes += 1
        images: Tensor = self.network(inputs)
        return images


def inputs(samples: int, client: int, size: int = 16) -> GeneratorInput:
    generator = torch.Generator().manual_seed(client)
    one_hot = torch.nn.functional.one_hot(torch.randint(2, (samples, size, size), generator=generator), 2)
    noise, texture = (
        torch.randn(samples, 2, generator=generator),
        torch.randn(samples, 1, size, size, generator=generator),
    )
    return GeneratorInput(one_hot.permute(0, 3, 1, 2).float(), noise, texture, torch.full((samples,), client))


def train(
    graph_bytes: int,
    make: Callable[[], nn.Module] = lambda: SmallGenerator(2, 1, 8, 8, 2, 9),
    *,
    replay: Replay = GRADIENT,
    samples: int = 4,
    steps: int = 1,
    workers: int = 1,
    rounds: int = 3,
) -> tuple[Counting, int]:
    """Return a generator after some rounds, and the passes that it took."""
    torch.manual_seed(0)
    network = Counting(make())
    half = GeneratorHalf(
        network,
        torch.optim.Adam(network.parameters(), 1e-2),
        replay=replay,
        average_decay=0.9,
        workers=workers,
        graph_bytes=graph_bytes,
    )
    for number in range(rounds):
        # in threads, as the algorithms do: those that a thread may use are part of what a pass rounds to
        drawn = half.for_each(half.propose, [inputs(samples, 3 * number + index) for index in range(3)])
        proposals = [half.keep(each) for each in drawn]
        answers = [Feedback(torch.zeros(samples), torch.randn(samples, 1, 16, 16)) for _ in proposals]
        half.apply(proposals, answers, dict.fromkeys(CLIENTS, 1 / 3), steps=steps)
        assert half._graphs._bytes == 0
    return network, network.passes


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("make", [lambda: SmallGenerator(2, 1, 8, 8, 2, 9), lambda: ResnetGenerator(2, 1, 4)])
@pytest.mark.parametrize(("replay", "saved"), [(GRADIENT, 9), (Replay("target", 0.1, passes=2), 9)])
def test_no_bit_changes_and_a_pass_a_client_and_round_is_saved(
    replay: Replay, saved: int, make: Callable[[], nn.Module], workers: int
) -> None:
    kept, passes = train(10**9, make, replay=replay, workers=workers)
    again, more = train(0, make, replay=replay, workers=workers)
    torch.testing.assert_close(kept.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert more - passes == saved


def test_several_steps_on_a_proposal_draw_each_part_again() -> None:
    kept, passes = train(10**9, steps=2)
    again, more = train(0, steps=2)
    torch.testing.assert_close(kept.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert passes == more


def test_what_does_not_fit_is_drawn_again() -> None:
    """Nine graphs of one size: with room for two and a half, two of each round's three are kept."""
    network, one = SmallGenerator(2, 1, 8, 8, 2, 9), KeptGraphs(10**9)
    one.draw(network, inputs(4, 0))
    size = one._bytes
    whole, passes = train(0)
    for room, saved in ((int(2.5 * size), 3 * 2), (size, 3), (size - 1, 0)):
        kept, fewer = train(room)
        assert passes - fewer == saved
        torch.testing.assert_close(kept.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_a_graph_takes_what_autograd_saves_and_no_parameters() -> None:
    """A product of a 3-vector of weights and a (5, 3) input saves both: the input has 60 bytes."""

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Parameter(torch.ones(3))

        def forward(self, given: GeneratorInput) -> Tensor:
            return given.noise * self.weights

    given = GeneratorInput(torch.ones(5, 1, 1, 1), torch.ones(5, 3), torch.zeros(5, 1, 1, 1), torch.zeros(5).long())
    for room, kept in ((60, 1), (59, 0)):
        graphs = KeptGraphs(room)
        images = graphs.draw(Product(), given)
        assert not images.requires_grad
        assert (graphs._bytes, len(graphs._kept)) == (60 * kept, kept)


def test_a_graph_is_used_once_and_not_after_the_generator_moved() -> None:
    network, graphs = SmallGenerator(2, 1, 8, 8, 2, 9), KeptGraphs(10**9)
    proposals = []
    for client in range(3):
        given = inputs(4, client)
        proposals.append(Proposal.of(given, graphs.draw(network, given), 0))
    images = graphs.take(network, proposals[0])
    assert images is not None
    assert images.requires_grad
    assert torch.equal(images, proposals[0].images)
    assert graphs.take(network, proposals[0]) is None
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    assert graphs.take(network, proposals[1]) is None
    other = replace(proposals[2], noise=proposals[2].noise.clone())
    assert graphs.take(network, other) is None


@pytest.mark.parametrize(
    ("overrides", "bytes_kept"),
    [
        ("exchange=single", 1_000_000_000),
        ("exchange=single exchange.graph_mb=0.5", 500_000),
        ("exchange=single exchange.graph_mb=0", 0),
        ("exchange=single exchange.in_flight=2", 0),
        ("exchange=bundles", 0),
        ("exchange=bundles exchange.generator_steps=1", 1_000_000_000),
    ],
)
def test_graphs_are_kept_where_the_generator_waits_for_one_step(overrides: str, bytes_kept: int) -> None:
    assert resolve(overrides).exchange.graph_bytes == bytes_kept
