"""Both halves of the algorithm on networks of one parameter, with numbers computed by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from flower_dgan.config import ReplayName
from flower_dgan.gan.discriminator import DiscriminatorHalf, PixelLosses
from flower_dgan.gan.exchange import Batch, Feedback, GeneratorInput, Proposal, concatenate
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.merge import merge_rule
from flower_dgan.gan.replay import Replay
from flower_dgan.networks.small import SmallGenerator


class Scale(nn.Module):
    """G(z) = theta z, one pixel an image; D(x) = theta x."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(value))

    def forward(self, first: GeneratorInput | Tensor, images: Tensor | None = None) -> Tensor:
        given = first.noise[:, :, None, None] if isinstance(first, GeneratorInput) else images
        assert given is not None
        return self.theta * given


def generator_input(*noise: float) -> GeneratorInput:
    count = len(noise)
    return GeneratorInput(
        torch.ones(count, 1, 1, 1), torch.tensor(noise)[:, None], torch.zeros(count, 1, 1, 1), torch.zeros(count).long()
    )


def generator_half(value: float, replay: ReplayName = "gradient", average_decay: float = 0.0) -> GeneratorHalf:
    network = Scale(value)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    return GeneratorHalf(network, optimizer, replay=Replay(replay, target_step=0.5), average_decay=average_decay)


def feedback(*gradients: float) -> Feedback:
    return Feedback(torch.zeros(len(gradients)), torch.tensor(gradients).reshape(-1, 1, 1, 1))


def pixels(*values: float) -> Tensor:
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def test_gradient_replay_is_the_weighted_vector_jacobian_product() -> None:
    half = generator_half(1.0)
    proposals = [half.propose(generator_input(1.0, 2.0)), half.propose(generator_input(3.0, 4.0))]
    torch.testing.assert_close(proposals[1].images, pixels(3.0, 4.0))
    half.apply(proposals, [feedback(0.1, 0.2), feedback(0.3, 0.4)], {"a": 0.25, "b": 0.75}, steps=1)
    # d x / d theta = z; sum_k w_k mean_i z g = 0.25 (0.1 + 0.4) / 2 + 0.75 (0.9 + 1.6) / 2
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(1 - 0.25 * 0.25 - 0.75 * 1.25))


def test_several_steps_share_the_samples() -> None:
    half = generator_half(1.0)
    proposal = half.propose(generator_input(1.0, 2.0))
    half.apply([proposal], [feedback(0.1, 0.2)], {"a": 1.0}, steps=2)
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(1 - 0.1 - 0.4))


def test_target_replay_approaches_the_target_and_stops_there() -> None:
    half = generator_half(1.0, "target")
    proposal = half.propose(generator_input(1.0, 1.0))
    # gradients 3 and 1 have the root mean square sqrt 5; the targets are 1 - 0.5 g / sqrt 5
    half.apply([proposal], [feedback(3.0, 1.0)], {"a": 1.0}, steps=1)
    expected = 1 - 0.5 * 2 / 5**0.5
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(expected))
    # the mean target is reached: the same feedback again changes nothing
    half.apply([proposal], [feedback(3.0, 1.0)], {"a": 1.0}, steps=1)
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(expected))


def test_target_replay_of_zero_feedback_stays() -> None:
    half = generator_half(1.0, "target")
    half.apply([half.propose(generator_input(1.0))], [feedback(0.0)], {"a": 1.0}, steps=1)
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(1.0))


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_no_bit(workers: int) -> None:
    """Five clients with target replay and diversity, in one thread and in several."""
    parameters = []
    for count in (1, workers):
        torch.manual_seed(0)
        network = SmallGenerator(2, 1, 8, 8, 2, 5)
        half = GeneratorHalf(
            network,
            torch.optim.Adam(network.parameters(), 1e-2),
            replay=Replay("target", target_step=0.1, diversity=0.05),
            average_decay=0.0,
            workers=count,
        )
        inputs = [
            GeneratorInput(torch.ones(4, 2, 8, 8), torch.randn(4, 2), torch.randn(4, 1, 8, 8), torch.full((4,), site))
            for site in range(5)
        ]
        proposals = [half.propose(each) for each in inputs]
        answers = [Feedback(torch.zeros(4), torch.randn(4, 1, 8, 8)) for _ in inputs]
        half.apply(proposals, answers, dict(zip("abcde", [0.1, 0.3, 0.2, 0.2, 0.2], strict=True)), steps=2)
        parameters.append(network.state_dict())
    torch.testing.assert_close(parameters[0], parameters[1], rtol=0, atol=0)


def test_moving_average_starts_fast_and_follows() -> None:
    half = generator_half(1.0, average_decay=0.5)
    proposal = Proposal.of(generator_input(1.0), pixels(1.0), drawn_at=0)
    half.apply([proposal], [feedback(1.0)], {"a": 1.0}, steps=1)
    # theta is 0; the decay of the first step is (1 + 0) / (10 + 0)
    torch.testing.assert_close(half.average.theta, nn.Parameter(torch.tensor(0.1), requires_grad=False))
    half.apply([proposal], [feedback(1.0)], {"a": 1.0}, steps=1)
    decay = 2 / 11
    torch.testing.assert_close(half.average.theta.detach(), torch.tensor(decay * 0.1 + (1 - decay) * -1.0))


def discriminator_half(steps: int = 1, pixel_losses: PixelLosses | None = None) -> DiscriminatorHalf:
    network = Scale(0.5)
    return DiscriminatorHalf(
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss=LOSSES["least-squares"],
        discriminator_weight=0.5,
        generator_weight=2.0,
        pixel_losses=pixel_losses,
        steps=steps,
    )


def batch(*values: float) -> Batch:
    return Batch(pixels(*values), torch.ones(len(values), 1, 1, 1))


def test_discriminator_steps_on_real_and_synthetic() -> None:
    half = discriminator_half()
    loss = half.step(batch(1.0), batch(-1.0))
    # lambda_D [ (0.5 - 1)^2 + (-0.5)^2 ] = 0.25; its derivative: 0.5 [ 2 (0.5 - 1) + 2 (-0.5)(-1) ] = 0
    assert loss == pytest.approx(0.25)
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(0.5))
    half.step(batch(0.5), batch(0.0))
    # derivative: 0.5 * 2 (0.25 - 1) 0.5 = -0.375
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(0.875))


def test_discriminator_takes_several_steps() -> None:
    half = discriminator_half(steps=2)
    half.step(batch(0.5), batch(0.0))
    # 0.5 + 0.375 = 0.875; then the derivative is 0.5 * 2 (0.4375 - 1) 0.5 = -0.28125
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(0.875 + 0.28125))


def test_feedback_is_each_samples_own_gradient() -> None:
    answer = discriminator_half().feedback(batch(1.0, -2.0))
    # lambda_G (D(x) - 1)^2 = 2 (0.5 x - 1)^2, derivative 2 (0.5 x - 1)
    torch.testing.assert_close(answer.losses, torch.tensor([0.5, 8.0]))
    torch.testing.assert_close(answer.gradients, pixels(-1.0, -4.0))


def test_feedback_leaves_the_discriminator_alone() -> None:
    half = discriminator_half()
    half.feedback(batch(1.0))
    assert half.network.theta.grad is None
    assert half.network.theta.requires_grad


def test_pixel_losses_point_away_from_the_real_image() -> None:
    half = discriminator_half(pixel_losses=PixelLosses(10.0, 3.0, lambda a, b: (a - b).square().flatten(1).mean(1)))
    answer = half.feedback(batch(1.0), paired=pixels(0.0))
    # 2 [ (0.5 - 1)^2 + 10 |1 - 0| + 3 (1 - 0)^2 ]; derivative 2 [ 0.5 (-1) + 10 + 6 ]
    torch.testing.assert_close(answer.losses, torch.tensor([26.5]))
    torch.testing.assert_close(answer.gradients, pixels(31.0))


def test_pixel_losses_without_the_real_images_are_left_out() -> None:
    """As at the server, which has none for a discriminator of its own."""
    half = discriminator_half(pixel_losses=PixelLosses(10.0, 0.0, None))
    torch.testing.assert_close(half.feedback(batch(1.0)).losses, torch.tensor([0.5]))


def test_scores_are_the_discriminators_own() -> None:
    half = discriminator_half(pixel_losses=PixelLosses(10.0, 0.0, None))
    answer = half.scores(batch(1.0, -2.0))
    # D(x) = 0.5 x, without lambda_G and without any loss
    torch.testing.assert_close(answer.losses, torch.tensor([0.5, -1.0]))
    torch.testing.assert_close(answer.gradients, pixels(0.5, 0.5))
    assert half.network.theta.grad is None


def test_exchange_types_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Batch(torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 4, 8))
    with pytest.raises(ValueError, match="losses"):
        Feedback(torch.zeros(2), torch.zeros(3, 1, 1, 1))
    with pytest.raises(ValueError, match="batches of"):
        GeneratorInput(torch.zeros(2, 1, 1, 1), torch.zeros(1, 1), torch.zeros(2, 1, 1, 1), torch.zeros(2).long())


def test_concatenate_keeps_the_order() -> None:
    joined = concatenate([feedback(1.0, 2.0), feedback(3.0)])
    torch.testing.assert_close(joined.gradients, pixels(1.0, 2.0, 3.0))


@pytest.mark.parametrize("replay", ["gradient", "target"])
def test_apply_steps_by_the_weights_of_the_merge_rule_and_returns_them(replay: ReplayName) -> None:
    half = generator_half(1.0, replay)
    proposals = [half.propose(generator_input(1.0, 1.0)) for _ in range(4)]
    answers = [feedback(-9.0, -9.0), feedback(0.2, 0.2), feedback(0.1, 0.1), feedback(0.3, 0.3)]
    weights = half.apply(proposals, answers, dict.fromkeys("abcd", 0.25), 2, merge=merge_rule("agreement", {}))
    # lengths 9, 0.2, 0.1 and 0.3: none of the last three is five times the median
    assert weights == pytest.approx({"a": 0, "b": 1 / 3, "c": 1 / 3, "d": 1 / 3})
    # the mean gradient 0.2 twice; for targets the first step of 0.5 reaches them all
    expected = 1 - (0.4 if replay == "gradient" else 0.5)
    torch.testing.assert_close(half.network.theta.detach(), torch.tensor(expected))


def test_agreement_looks_at_samples_that_depend_on_the_answers_of_all() -> None:
    looked_at = set()
    for loss in range(20):
        half = generator_half(1.0)
        proposal = half.propose(generator_input(*[1.0] * 64))
        # of four blocks of 16 samples one is bad
        bad = replace(feedback(*[1.0] * 16, *[-1.0] * 16, *[1.0] * 32), losses=torch.zeros(64))
        good = replace(feedback(*[1.0] * 64), losses=torch.full((64,), float(loss)))
        answers, rule = [bad, good, good, good], merge_rule("agreement", {})
        weights = half.apply([proposal] * 4, answers, dict.fromkeys("abcd", 0.25), steps=1, merge=rule)
        looked_at.add(weights["a"])
    assert looked_at == {0.0, 0.25}


@pytest.mark.parametrize(("replay", "kept_images"), [("gradient", 0), ("target", 2)])
def test_what_is_kept_of_a_proposal_is_enough(replay: ReplayName, kept_images: int) -> None:
    whole, part = generator_half(1.0, replay), generator_half(1.0, replay)
    proposals = [half.propose(generator_input(1.0, 2.0)) for half in (whole, part)]
    kept = part.keep(proposals[1])
    assert len(kept.images) == kept_images
    assert (kept.one_hot.dtype, len(kept)) == (torch.uint8, 2)
    whole.apply([proposals[0]], [feedback(0.1, 0.2)], {"a": 1.0}, steps=1)
    part.apply([kept], [feedback(0.1, 0.2)], {"a": 1.0}, steps=1)
    assert float(whole.network.theta.detach()) != 1.0
    torch.testing.assert_close(part.network.theta, whole.network.theta, rtol=0, atol=0)
