"""The diversity term on images that one can check by hand; the plain loop's is held against the same numbers."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from flower_dgan.errors import ConfigError
from flower_dgan.gan.exchange import Feedback, GeneratorInput
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.replay import Replay
from flower_dgan.resolve import resolve
from tests.reference.generator import apart

DIVERSITY = 0.05


class Pattern(nn.Module):
    """Draws the noise times a pattern: the draw with the opposite noise is its negative."""

    def __init__(self, patterns: Tensor) -> None:
        super().__init__()
        self.patterns = nn.Parameter(patterns)

    def forward(self, inputs: GeneratorInput) -> Tensor:
        return self.patterns * inputs.noise[:, :, None, None]


def inputs_of(noise: list[float], size: int) -> GeneratorInput:
    samples = len(noise)
    return GeneratorInput(
        label_maps=torch.ones(samples, 1, size, size),
        noise=torch.tensor(noise)[:, None],
        texture=torch.zeros(samples, 1, size, size),
        sites=torch.zeros(samples, dtype=torch.int64),
    )


def blocks(*rows: list[float]) -> Tensor:
    """Return an image (1, 8, 8) of 4 x 4 blocks of 2 x 2 pixels with these values."""
    return torch.tensor(rows).repeat_interleave(2, 0).repeat_interleave(2, 1)[None]


def direction_of(patterns: Tensor, noise: list[float], gradients: Tensor, rate: float = 1.0) -> Tensor:
    """Return the direction in image space at images that are still what was sent; G descends along it."""
    network, inputs = Pattern(patterns), inputs_of(noise, patterns.shape[-1])
    replay = Replay("target", target_step=0.3, diversity=DIVERSITY)
    half = GeneratorHalf(network, torch.optim.SGD(network.parameters(), 1.0), replay=replay, average_decay=0.0)
    proposal = half.propose(inputs)
    answer = Feedback(torch.zeros(len(noise)), gradients)
    factor = replay.factor(answer, rate)
    return replay.direction(network, proposal.images, proposal, answer, slice(0, len(noise)), rate, factor)


ROWS = ([0.05, 0.05, 0.0, -0.1], [-0.1, -0.1, 0.05, 0.0], [0.05, -0.1, 0.05, -0.1], [0.0, 0.0, 0.05, 0.0])
"""The other draw is the negative: twice these apart, 0.1 and 0.2, on the mean (6 * 0.1 + 5 * 0.2) / 16 = 0.1."""


def test_each_block_is_pushed_away_from_the_other_draws() -> None:
    pattern = blocks(*ROWS)[None]
    signs = blocks([1, 1, 0, -1], [-1, -1, 1, 0], [1, -1, 1, -1], [0, 0, 1, 0])[None].float()
    nothing = torch.zeros(1, 1, 8, 8)
    torch.testing.assert_close(direction_of(pattern, [1.0], nothing), -DIVERSITY * signs, rtol=0, atol=1e-7)
    # the other draw is pushed the other way
    torch.testing.assert_close(direction_of(pattern, [-1.0], nothing), DIVERSITY * signs, rtol=0, atol=1e-7)
    torch.testing.assert_close(
        direction_of(pattern, [1.0], nothing, rate=0.2), -0.2 * DIVERSITY * signs, rtol=0, atol=1e-7
    )
    torch.testing.assert_close(apart(pattern, -pattern), signs, rtol=0, atol=0)


def test_it_is_added_to_the_way_to_the_target() -> None:
    """With g = 2 everywhere rms(g) = 2, and the way back from the target is eta g / rms(g) = 0.3."""
    pattern = blocks(*ROWS)[None]
    signs = apart(pattern, -pattern)
    found = direction_of(pattern, [1.0], torch.full((1, 1, 8, 8), 2.0))
    torch.testing.assert_close(found, 0.3 - DIVERSITY * signs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("value", "pushed"), [(0.0995, 1.0), (0.1005, 0.0)])
def test_draws_that_differ_by_a_fifth_are_left_alone(value: float, pushed: float) -> None:
    """All blocks differ by twice the value: 0.199 or 0.201. Of two samples each is judged alone."""
    near = torch.full((1, 8, 8), 0.01)
    patterns = torch.stack([torch.full((1, 8, 8), value), near])
    found = direction_of(patterns, [1.0, 1.0], torch.zeros(2, 1, 8, 8))
    torch.testing.assert_close(found[0], torch.full((1, 8, 8), -DIVERSITY * pushed), rtol=0, atol=1e-7)
    torch.testing.assert_close(found[1], torch.full((1, 8, 8), -DIVERSITY), rtol=0, atol=1e-7)
    torch.testing.assert_close(apart(patterns, -patterns), -found / DIVERSITY, rtol=0, atol=1e-5)


def test_the_threshold_is_about_the_mean_over_blocks_and_channels() -> None:
    """One channel differs by 0.3 and the other by 0.05: 0.175 on the mean, so that both are pushed."""
    patterns = torch.stack([torch.full((8, 8), 0.15), torch.full((8, 8), -0.025)])[None]
    found = direction_of(patterns, [1.0], torch.zeros(1, 2, 8, 8))
    expected = torch.stack([torch.full((8, 8), -DIVERSITY), torch.full((8, 8), DIVERSITY)])[None]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(apart(patterns, -patterns), -expected / DIVERSITY, rtol=0, atol=1e-5)


def test_colours_are_those_of_blocks_and_not_of_pixels() -> None:
    """A checkerboard of single pixels has no colour in any block: nothing is pushed, however much it differs."""
    board = torch.tensor([[0.5, -0.5], [-0.5, 0.5]]).repeat(4, 4)[None, None]
    assert not direction_of(board, [1.0], torch.zeros(1, 1, 8, 8)).any()
    assert not apart(board, -board).any()


def test_a_step_takes_two_draws_further_apart() -> None:
    """By hand: the gradient of each pixel of the pattern is noise times direction, -0.05, and plain descent adds it."""
    network = Pattern(torch.full((2, 1, 8, 8), 0.05))
    replay = Replay("target", target_step=0.3, diversity=DIVERSITY)
    half = GeneratorHalf(network, torch.optim.SGD(network.parameters(), 1.0), replay=replay, average_decay=0.0)
    inputs = inputs_of([1.0, -1.0], 8)
    nothing = Feedback(torch.zeros(2), torch.zeros(2, 1, 8, 8))
    half.apply([half.propose(inputs)], [nothing], {"a": 1.0}, steps=1)
    # of two samples each counts half: 0.05 + 0.05 / 2 in both, so that the draws are 0.15 apart instead of 0.1
    torch.testing.assert_close(network.patterns.detach(), torch.full((2, 1, 8, 8), 0.075))
    first, second = half.propose(inputs).images
    assert float((first - second).mean()) == pytest.approx(0.15)
    without = replace(replay, diversity=0.0)
    still = GeneratorHalf(network, torch.optim.SGD(network.parameters(), 1.0), replay=without, average_decay=0.0)
    still.apply([still.propose(inputs)], [nothing], {"a": 1.0}, steps=1)
    torch.testing.assert_close(network.patterns.detach(), torch.full((2, 1, 8, 8), 0.075))


def test_images_that_have_no_four_by_four_blocks_are_refused_before_the_training() -> None:
    with pytest.raises(ConfigError, match="image_size"):
        resolve("algorithm=dgan-images model=mlp data.image_size=30 data.condition=class downstream=none")
