"""R1 at the discriminator, and a client that moves the images it was sent: numbers by hand."""

import pytest
import torch
from torch import Tensor, nn

from flower_dgan.config import AlgorithmSettings
from flower_dgan.errors import ConfigError
from flower_dgan.gan.answering import direction, move_and_judge
from flower_dgan.gan.discriminator import DiscriminatorHalf, gradient_penalty
from flower_dgan.gan.exchange import Answer, Batch, Feedback, GeneratorInput, Proposal
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.replay import Replay
from flower_dgan.gan.session import Session
from flower_dgan.resolve import resolve


class Patches(nn.Module):
    """Two patches of an image of 1 x 2 pixels: theta x_1 and theta x_2."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        return self.theta * images


def half(theta: float, penalty: float = 0.0, units: float = 1.0) -> DiscriminatorHalf:
    network = Patches(theta)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    loss = LOSSES["wasserstein"]
    return DiscriminatorHalf(
        network, optimizer, loss, 1.0, 1.0, None, 1, penalty=penalty, units=torch.full((1, 1, 1), units)
    )


def batch(*pixels: float) -> Batch:
    images = torch.tensor(pixels).reshape(-1, 1, 1, 2)
    return Batch(images, torch.ones(len(images), 1, 1, 2))


def test_the_penalty_is_the_published_one_where_there_is_one_logit() -> None:
    images = torch.tensor([[3.0, -2.0]]).reshape(1, 1, 1, 2).requires_grad_(True)
    logits = (images**2).sum((1, 2, 3), keepdim=True)
    # |dD/dx|^2 with dD/dx = 2 x = (6, -4)
    torch.testing.assert_close(gradient_penalty(images, logits, torch.ones(1, 1, 1)), torch.tensor([52.0]))
    logits = (images**2).sum((1, 2, 3), keepdim=True)
    torch.testing.assert_close(gradient_penalty(images, logits, torch.full((1, 1, 1), 0.5)), torch.tensor([13.0]))


def test_the_penalty_of_patches_does_not_grow_with_the_image() -> None:
    for width in (2, 8):
        images = torch.zeros(1, 1, 1, width, requires_grad=True)
        # each pixel is a patch of slope 3: 9 width / width
        torch.testing.assert_close(gradient_penalty(images, 3 * images, torch.ones(1, 1, 1)), torch.tensor([9.0]))


def test_the_discriminator_steps_on_loss_and_penalty() -> None:
    each = half(2.0, penalty=0.5, units=0.1)
    loss = each.step(batch(1.0, 0.0), batch(0.0, -1.0))
    # loss: -mean(2, 0) + mean(0, -2) = -2, its derivative -1/2 - 1/2 = -1
    # penalty: 0.5 / 2 (0.1 theta)^2 (1 + 1) / 2, its derivative 0.25 * 0.01 * 2 theta = 0.01
    assert loss == pytest.approx(-2.0)
    torch.testing.assert_close(each.network.theta.detach(), torch.tensor(2.0 + 1.0 - 0.01))


def test_without_penalty_real_images_are_not_differentiated() -> None:
    each = half(2.0)
    real = batch(1.0, 0.0)
    each.step(real, batch(0.0, -1.0))
    assert not real.images.requires_grad
    torch.testing.assert_close(each.network.theta.detach(), torch.tensor(3.0))


def test_directions_have_a_length() -> None:
    found = direction(torch.tensor([[3.0, -4.0]]).reshape(1, 1, 1, 2))
    torch.testing.assert_close(found.flatten(), torch.tensor([3.0, -4.0]) / 12.5**0.5)


def test_who_cannot_tell_moves_images_less() -> None:
    # two pixels: full length from a root mean square of 0.8 / 2 on
    found = direction(torch.tensor([[0.1, -0.1]]).reshape(1, 1, 1, 2))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.25, -0.25]))
    nothing = direction(torch.zeros(1, 1, 1, 2))
    assert nothing.flatten().tolist() == [0.0, 0.0]


class Client:
    """What of a session is used, with real images that say which batch of the round they are."""

    def __init__(self, discriminator: DiscriminatorHalf, rounds: int = 2) -> None:
        self.half = discriminator
        self.rounds = rounds
        self.drawn: list[tuple[int, int]] = []

    parts = Session.parts
    batch_size = 1

    def draw_real(self, round_number: int, number: int) -> Batch:
        self.drawn.append((round_number, number))
        return batch(0.0, 0.0)


@pytest.fixture
def client() -> Client:
    return Client(half(1.0, units=0.5))


def moved(client: Client, sent: Batch, round_number: int = 1, passes: int = 2, final_rate: float = 1.0) -> Answer:
    return move_and_judge(
        client,
        round_number,
        sent,
        passes=passes,
        step=0.2,
        final_rate=final_rate,  # type: ignore[arg-type]
    )


def test_images_move_while_the_discriminator_learns(client: Client) -> None:
    """Wasserstein loss on D = theta x: D's derivative is the mean of x~, and the gradient -theta / 2 at each pixel."""
    sent = batch(0.5, 0.3)
    answer = moved(client, sent)
    # D steps first: theta = 1 - 0.4 = 0.6, so images are to grow, by eta u = 0.1 at each pixel; but the gradient
    # u g = 0.15 is below 0.8 / 2, so by 0.1 * 0.15 / 0.4 = 0.0375. Then theta = 0.6 - 0.4375 = 0.1625, and they grow by
    # 0.1 * 0.040625 / 0.4 = 0.01015625.
    torch.testing.assert_close(client.half.network.theta.detach(), torch.tensor(0.1625))
    torch.testing.assert_close(answer.feedback.gradients.flatten(), torch.tensor([-0.04765625, -0.04765625]))
    # the generator's loss of what was sent: -theta mean x~ after the first step of D
    torch.testing.assert_close(answer.feedback.losses, torch.tensor([-0.6 * 0.4]))
    torch.testing.assert_close(sent.images.flatten(), torch.tensor([0.5, 0.3]), rtol=0, atol=0)


def test_each_pass_has_real_images_of_its_own(client: Client) -> None:
    moved(client, batch(0.1, 0.1, 0.2, 0.2), round_number=2)
    assert client.drawn == [(2, 0), (2, 1), (2, 2), (2, 3)]


def test_moves_are_shorter_at_the_end(client: Client) -> None:
    full = moved(Client(half(1.0, units=0.5)), batch(0.5, 0.3), round_number=1, passes=1, final_rate=0.25)
    last = moved(client, batch(0.5, 0.3), round_number=2, passes=1, final_rate=0.25)
    torch.testing.assert_close(last.feedback.gradients, full.feedback.gradients / 4)


def test_images_stay_within_their_range() -> None:
    answer = moved(Client(half(50.0, units=0.5)), batch(1.0, 0.95), passes=3)
    torch.testing.assert_close(answer.feedback.gradients.flatten(), torch.tensor([0.0, -0.05]))


def test_the_generator_approaches_where_images_came_to() -> None:
    proposal = Proposal.of(
        GeneratorInput(torch.ones(1, 1, 1, 1), torch.zeros(1, 1), torch.zeros(1, 1, 1, 1), torch.zeros(1).long()),
        torch.tensor(0.5).reshape(1, 1, 1, 1),
        drawn_at=0,
    )
    answer = Feedback(torch.zeros(1), torch.tensor(-0.2).reshape(1, 1, 1, 1))
    replay = Replay("moved", 0.15, passes=2)
    assert replay.factor(answer, 0.5) == 1.0
    assert replay.keep(proposal) is proposal
    images = torch.tensor(0.6).reshape(1, 1, 1, 1)
    found = replay.direction(nn.Identity(), images, proposal, answer, slice(None), 1.0, 1.0)
    # they came to 0.7
    torch.testing.assert_close(found.flatten(), torch.tensor([-0.1]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("algorithm=uagan algorithm.replay=moved algorithm.target_step=0.1", "does not let clients move"),
        ("algorithm=dgan algorithm.replay=moved", "algorithm.target_step=0.15"),
        ("algorithm=dgan algorithm.passes=2", "algorithm.passes=1"),
        ("algorithm=dgan-images algorithm.passes=65", "64"),
        ("algorithm=dgan-images algorithm.l1_weight=1 allow_pixel_losses=true", "without pixel losses"),
    ],
)
def test_settings_that_contradict_each_other(changed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve(changed)


def test_the_preset_for_images_moves_them() -> None:
    settings: AlgorithmSettings = resolve("algorithm=dgan-images").algorithm
    assert (settings.replay, settings.passes) == ("moved", 4)
