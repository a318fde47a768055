"""The plain loops: against automatic differentiation through one joint graph, and their pieces by hand."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from flower_dgan.algorithms.asyndgan import AsynDgan
from flower_dgan.algorithms.in_process import train
from flower_dgan.config import LossName
from flower_dgan.data.pairs import Pairs
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.replay import Replay
from flower_dgan.gan.server_state import ServerState
from flower_dgan.gan.session import Session
from flower_dgan.networks.small import SmallDiscriminator, SmallGenerator
from flower_dgan.resolve import resolve
from tests.reference import asyndgan, draws, mdgan, scores
from tests.reference.client import step_discriminator
from tests.reference.draws import Client, Samples
from tests.reference.generator import Generator, rate_of
from tests.reference.settings import Settings, settings_of
from tests.reference.weights import capped, weights_of
from tests.reference.wire import received_gradients, received_images

ROUNDS = 6
CHANGES = (
    "algorithm=dgan exchange=single exchange.batch_size=4 data.image_size=16 data.augmentation=flips seed=3 "
    "model.noise_channels=2 algorithm.discriminator_steps=2 algorithm.discriminator_weight=0.5 "
    "algorithm.generator_weight=0.7 algorithm.discriminator_learning_rate=1e-3 algorithm.average_decay=0 "
    f"algorithm.final_rate=1 exchange.rounds={ROUNDS}"
)


def settings_with(loss: LossName = "bce", **changes: object) -> Settings:
    return replace(settings_of(resolve(CHANGES)), loss=LOSSES[loss], **changes)


def federation(settings: Settings) -> tuple[Generator, list[Client]]:
    torch.manual_seed(0)
    network = SmallGenerator(2, 1, 8, 16, 2, 3)
    generator = Generator(network, torch.optim.Adam(network.parameters(), 1e-3, settings.betas), deepcopy(network))
    rng = np.random.default_rng(0)
    clients = []
    for index, count in enumerate((5, 9, 4)):
        label_maps = tuple(rng.integers(0, 2, (20, 18), dtype=np.uint8) for _ in range(count))
        images = tuple(rng.integers(0, 256, (20, 18, 1), dtype=np.uint8) for _ in range(count))
        discriminator = SmallDiscriminator(2, 1, 4)
        optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3, settings.betas)
        labels = ClientLabels(f"client-{index}", label_maps, 2, index)
        clients.append(Client(labels, images, None, discriminator, optimizer, settings.seed))
    return generator, clients


def real_of(client: Client, settings: Settings, round_number: int) -> Samples:
    """Return the real pairs of a round in the precision that is the default."""
    images, label_maps = draws.real_batch(client, settings, round_number, 0)
    return Samples(images.to(torch.get_default_dtype()), label_maps)


def train_joint(generator: Generator, clients: Sequence[Client], settings: Settings) -> None:
    """AsynDGAN as anyone would first write it: one loss, one graph, one backward."""
    weights = weights_of(clients, settings, len(clients))
    for round_number in range(1, ROUNDS + 1):
        total = torch.zeros(())
        for client, weight in zip(clients, weights, strict=True):
            inputs = draws.own_inputs(client, settings, round_number)
            images = generator.network(inputs)
            fixed = Samples(images.detach(), inputs.label_maps)
            step_discriminator(
                client.network, client.optimizer, settings, real_of(client, settings, round_number), fixed
            )
            losses = settings.loss.generator(client.network(inputs.label_maps, images))
            total = total + weight * settings.generator_weight * losses.mean()
        generator.optimizer.zero_grad()
        total.backward()
        generator.optimizer.step()


def train_joint_shared(generator: Generator, clients: Sequence[Client], settings: Settings) -> None:
    """UA-GAN, Distributed-GAN's average and GMAN likewise; D as probabilities and odds, as the papers have them."""
    shares = torch.tensor(weights_of(clients, settings, len(clients)))[:, None]
    for round_number in range(1, ROUNDS + 1):
        inputs = draws.common_inputs(clients, settings, round_number, 0)
        images = generator.network(inputs)
        for client in clients:
            fixed = Samples(images.detach(), inputs.label_maps)
            step_discriminator(
                client.network, client.optimizer, settings, real_of(client, settings, round_number), fixed
            )
        said = torch.stack([client.network(inputs.label_maps, images).mean((1, 2, 3)) for client in clients])
        probabilities = 1 / (1 + (-said).exp())
        if settings.merge == "odds":
            odds = (shares * probabilities / (1 - probabilities)).sum(0)
            common = odds / (1 + odds)
            losses = -common.log()
        elif settings.merge == "average":
            losses = -probabilities.mean(0).log()
        else:
            each = -probabilities.log()
            powers = (settings.sharpness * each.detach().mean(1)).exp()
            losses = (powers[:, None] * each).sum(0) / powers.sum()
        generator.optimizer.zero_grad()
        (settings.generator_weight * losses.mean()).backward()
        generator.optimizer.step()


Run = Callable[[Generator, list[Client], Settings], None]


def trained(settings: Settings, run: Run) -> dict[str, Tensor]:
    generator, clients = federation(settings)
    run(generator, clients, settings)
    return generator.network.state_dict()


@pytest.fixture
def double_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let everything be float64, so that rounding cannot hide a wrong formula."""
    float32 = torch.float32
    monkeypatch.setattr("torch.float32", torch.float64)
    monkeypatch.setattr(draws, "real_batch", _in_double(draws.real_batch))
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(float32)


def _in_double(real_batch: Callable[[Client, Settings, int, int], Samples]) -> Callable[..., Samples]:
    def doubled(*asked: object) -> Samples:
        images, label_maps = real_batch(*asked)
        return Samples(images.double(), label_maps.double())

    return doubled


def assert_moved_alike(settings: Settings, loop: Run, joint: Run) -> None:
    ours, theirs = trained(settings, loop), trained(settings, joint)
    start = federation(settings)[0].network.state_dict()
    assert theirs["leave.weight"].dtype == torch.float64
    assert (theirs["leave.weight"] - start["leave.weight"]).abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("loss", ["bce", "wasserstein"])
def test_the_loop_descends_the_gradient_of_the_joint_objective(loss: LossName, double_precision: None) -> None:
    assert_moved_alike(settings_with(loss), asyndgan.train, train_joint)


@pytest.mark.parametrize("merge", ["odds", "average", "softmax"])
def test_a_loss_of_all_scores_is_that_of_the_joint_discriminator(merge: str, double_precision: None) -> None:
    """In the papers' probabilities there and in logits here, which are D's mean over the patches."""
    settings = settings_with(merge=merge, shared_batches=1, sharpness=1.5)
    assert_moved_alike(settings, scores.train, train_joint_shared)


@pytest.mark.parametrize("loss", ["hinge", "least-squares"])
def test_the_product_in_one_process_is_the_loop(loss: LossName) -> None:
    settings = settings_with(loss, final_rate=0.3, average_decay=0.9)
    generator, clients = federation(settings)
    optimizer = generator.optimizer
    half = GeneratorHalf(generator.network, optimizer, replay=Replay("gradient"), average_decay=0.9)
    names = {client.labels.name: client.labels for client in clients}
    state = ServerState(half, names, settings.drawn, ROUNDS, 1, 1, lambda _: pytest.fail("no discriminator is wanted"))
    sessions = {
        client.labels.name: Session(
            client.labels.name,
            Pairs(client.images, client.labels.label_maps, client.labels.classes),
            DiscriminatorHalf(client.network, client.optimizer, settings.loss, 0.5, 0.7, None, steps=2),
            16,
            4,
            "flips",
            rounds=ROUNDS,
            secret=client.secret,
        )
        for client in clients
    }
    algorithm = AsynDgan(replace(resolve(CHANGES).algorithm, loss=loss, merge="samples", final_rate=0.3))
    train(algorithm, state, sessions)
    plain, others = federation(settings)
    asyndgan.train(plain, others, settings)
    torch.testing.assert_close(half.network.state_dict(), plain.network.state_dict(), rtol=1e-5, atol=0)
    torch.testing.assert_close(half.average.state_dict(), plain.average.state_dict(), rtol=1e-5, atol=1e-8)


def test_slopes_of_scores_by_hand() -> None:
    """With s = log odds and l = -log D: dl/ds = -(1 - D), and each rule's ds/ds_k.

    Odds 1 and 3, shares 1/4 and 3/4: odds 2.5, D = 5/7, ds/ds_k = pi_k odds_k / odds = 0.1 and 0.9.
    The mean of D_k = 1/2 and 3/4 is 5/8; ds/ds_k = D_k (1 - D_k) / (2 D (1 - D)) = 8/15 and 6/15.
    GMAN with lambda = 1: V_k = log 2 and log 4/3 have w_k in proportion to 2 and 4/3: 0.6 and 0.4.
    """
    said, shares = torch.tensor([[1.0], [3.0]]).log(), torch.tensor([[0.25], [0.75]])
    expected = {
        "odds": [-2 / 7 * 0.1, -2 / 7 * 0.9],
        "average": [-3 / 8 * 8 / 15, -3 / 8 * 6 / 15],
        "softmax": [-0.5 * 0.6, -0.25 * 0.4],
    }
    for merge, slopes in expected.items():
        settings = settings_with(merge=merge, sharpness=1.0)
        found = scores.slopes_of(said, shares, settings)[:, 0]
        torch.testing.assert_close(found, 0.7 * torch.tensor(slopes))
    harshest = scores.slopes_of(said, shares, settings_with(merge="softmax", sharpness=float("inf")))
    torch.testing.assert_close(harshest, torch.tensor([[-0.35], [0.0]]))


def test_shares_by_hand() -> None:
    """Of 0.7, 0.2 and 0.1 the first is cut to 0.5, and the others share 0.5 as 2 to 1."""
    assert capped([0.7, 0.2, 0.1], 0.5) == pytest.approx([0.5, 1 / 3, 1 / 6])
    # 0.4 is too little for the second as well, once it has its part of what the first lost
    assert capped([0.1, 0.6, 0.3], 0.4) == pytest.approx([0.2, 0.4, 0.4])
    assert capped([0.7, 0.2, 0.1], 0.2) == pytest.approx([1 / 3] * 3)
    assert capped([0.5, 0.25, 0.25], 0.5) == [0.5, 0.25, 0.25]
    settings = settings_with()
    _, clients = federation(settings)
    assert weights_of(clients, settings, 3) == pytest.approx([5 / 18, 9 / 18, 4 / 18])
    assert weights_of(clients, replace(settings, largest_share=0.4), 3) == pytest.approx([1 / 3, 0.4, 4 / 15])
    assert weights_of(clients[:2], replace(settings, largest_share=0.4), 2) == pytest.approx([5 / 14, 9 / 14])
    assert weights_of(clients, replace(settings, merge="equal"), 3) == pytest.approx([1 / 3] * 3)


def test_formats_by_hand() -> None:
    """-1, 0 and 1 are levels 0, 127.5 and 255, of which the even neighbour 128 is taken; 2 / 255 is a level."""
    images = torch.tensor([-1.0, 0.0, 1.0, 2 / 255 * 0.6, 1.5])
    levels = torch.tensor([0.0, 128.0, 255.0, 128.0, 255.0])
    torch.testing.assert_close(received_images(images, "uint8"), levels / 127.5 - 1)
    assert received_images(images, "float32") is images
    # of the largest magnitude, 4: 1/3 is 0x3555 = 1365 / 4096 in float16, and round(127 / 3) = 42 of 127 in int8
    gradients = torch.tensor([[[[-4.0, 4 / 3]]], [[[0.0, 0.0]]]])
    torch.testing.assert_close(
        received_gradients(gradients, "float16"), torch.tensor([[[[-4.0, 4 * 1365 / 4096]]], [[[0.0, 0.0]]]])
    )
    torch.testing.assert_close(
        received_gradients(gradients, "int8"), torch.tensor([[[[-4.0, 4 * 42 / 127]]], [[[0.0, 0.0]]]])
    )


def test_rates_by_hand() -> None:
    settings = settings_with(rounds=4, final_rate=0.2)
    assert [rate_of(number, settings) for number in (1, 2, 3, 4)] == pytest.approx([1.0, 1.0, 0.6, 0.2])


def test_discriminators_move_along_the_drawn_circle() -> None:
    """With rates of zero nobody learns: after two rounds with a swap between them each has its neighbour's."""
    settings = settings_with(shared_batches=1, swap_interval=1, rounds=2)
    generator, clients = federation(settings)
    for client in clients:
        client.optimizer.param_groups[0]["lr"] = 0.0
    before = {client.labels.name: deepcopy(client.network.state_dict()) for client in clients}
    mdgan.train(generator, clients, settings)
    order = draws.circle(list(before), settings, 1)
    now = {client.labels.name: client.network.state_dict() for client in clients}
    for giver, taker in zip(order, [*order[1:], order[0]], strict=True):
        torch.testing.assert_close(now[taker], before[giver], rtol=0, atol=0)


def test_a_client_draws_the_real_pairs_that_its_session_draws() -> None:
    settings = settings_with()
    _, (client, *_) = federation(settings)
    pairs = Pairs(client.images, client.labels.label_maps, client.labels.classes)
    half = DiscriminatorHalf(client.network, client.optimizer, settings.loss, 1.0, 1.0, None, steps=1)
    session = Session(client.labels.name, pairs, half, 16, 4, "flips", rounds=1, secret=settings.seed)
    for round_number, batch in ((1, 0), (1, 1), (2, 0)):
        theirs, ours = session.draw_real(round_number, batch), draws.own(client, settings, round_number, batch)
        torch.testing.assert_close(ours.images, theirs.images, rtol=0, atol=0)
        torch.testing.assert_close(ours.label_maps, theirs.label_maps, rtol=0, atol=0)
    first, second = draws.own(client, settings, 1, 0), draws.own(client, settings, 1, 1)
    assert (first.images - second.images).abs().max() > 0
