"""The reference against automatic differentiation through one joint graph, and bundles against the reference."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from flower_dgan.gan.reference import train_reference

from flower_dgan.algorithms.asyndgan import LocalClient, train
from flower_dgan.config import LossName
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_bundle
from flower_dgan.gan.discriminator import DiscriminatorHalf, discriminator_loss, generator_losses
from flower_dgan.gan.exchange import Batch
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.merge import client_weights
from flower_dgan.gan.replay import Replay
from flower_dgan.networks.small import SmallDiscriminator, SmallGenerator

SETTINGS = BundleSettings(1, 4, 16, "flips", 2, seed=3)
ROUNDS = 6


def federation(loss: LossName) -> tuple[GeneratorHalf, list[LocalClient]]:
    torch.manual_seed(0)
    network = SmallGenerator(2, 1, 8, 16, 2, 2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, (0.5, 0.99))
    generator = GeneratorHalf(network, optimizer, replay=Replay("gradient"), average_decay=0.0)
    rng = np.random.default_rng(0)
    clients = []
    for index, count in enumerate((5, 9)):
        label_maps = tuple(rng.integers(0, 2, (20, 18), dtype=np.uint8) for _ in range(count))
        images = tuple(rng.integers(0, 256, (20, 18, 1), dtype=np.uint8) for _ in range(count))
        discriminator = SmallDiscriminator(2, 1, 4)
        half = DiscriminatorHalf(
            discriminator,
            torch.optim.Adam(discriminator.parameters(), 1e-3, (0.5, 0.99)),
            LOSSES[loss],
            discriminator_weight=0.5,
            generator_weight=0.7,
            pixel_losses=None,
            steps=2,
        )
        clients.append(LocalClient(ClientLabels(f"client-{index}", label_maps, 2, index), images, half))
    return generator, clients


def train_joint(generator: GeneratorHalf, clients: Sequence[LocalClient]) -> None:
    """AsynDGAN as anyone would first write it: one loss, one graph, one backward."""
    weights = client_weights("samples", {client.labels.name: len(client.images) for client in clients})
    for round_number in range(1, ROUNDS + 1):
        total = torch.zeros(())
        for client, weight in zip(clients, weights.values(), strict=True):
            _, inputs = draw_bundle(client.labels, SETTINGS, round_number)
            real = client.session(SETTINGS).draw_real(round_number, 0)
            images = generator.network(inputs)
            half = client.half
            for _ in range(half.steps):
                half.optimizer.zero_grad()
                fixed = Batch(images.detach(), inputs.label_maps)
                discriminator_loss(half.network, half.loss, half.discriminator_weight, real, fixed).backward()
                half.optimizer.step()
            synthetic = Batch(images, inputs.label_maps)
            losses = generator_losses(half.network, half.loss, half.generator_weight, None, real, synthetic)
            total = total + weight * losses.mean()
        generator.optimizer.zero_grad()
        total.backward()
        generator.optimizer.step()


def trained(loss: LossName, run: Callable[[GeneratorHalf, list[LocalClient]], None]) -> dict[str, torch.Tensor]:
    generator, clients = federation(loss)
    run(generator, clients)
    return generator.network.state_dict()


@pytest.fixture
def double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be float64, so that rounding cannot hide a wrong formula."""
    float32 = torch.float32
    monkeypatch.setattr("torch.float32", torch.float64)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(float32)


@pytest.mark.parametrize("loss", ["bce", "wasserstein"])
def test_reference_is_the_gradient_of_the_joint_objective(loss: LossName, double_precision: None) -> None:
    joint = trained(loss, train_joint)
    reference = trained(loss, lambda g, c: train_reference(g, c, SETTINGS, rounds=ROUNDS, merge="samples"))
    start, _ = federation(loss)
    assert joint["leave.weight"].dtype == torch.float64
    assert (joint["leave.weight"] - start.network.state_dict()["leave.weight"]).abs().max() > 1e-3
    torch.testing.assert_close(reference, joint, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("loss", ["hinge", "least-squares"])
def test_bundles_of_one_are_the_reference(loss: LossName) -> None:
    reference = trained(loss, lambda g, c: train_reference(g, c, SETTINGS, rounds=ROUNDS, merge="samples"))
    bundled = trained(loss, lambda g, c: train(g, c, SETTINGS, rounds=ROUNDS, generator_steps=1, merge="samples"))
    torch.testing.assert_close(bundled, reference, rtol=1e-5, atol=0)


def test_reference_refuses_bundles() -> None:
    generator, clients = federation("bce")
    with pytest.raises(ValueError, match="one exchange a round, not 2"):
        train_reference(generator, clients, BundleSettings(2, 4, 16, "flips", 2, 3), rounds=1, merge="equal")


def test_reference_refuses_other_merge_rules_than_sums() -> None:
    generator, clients = federation("bce")
    with pytest.raises(ValueError, match="no merge rule 'agreement'"):
        train_reference(generator, clients, SETTINGS, rounds=1, merge="agreement")
