"""The one-process oracle of Distributed-GAN's approach 1, with S = 1, as a plain loop; see ``reference``."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flower_dgan.algorithms.asyndgan import LocalClient
from flower_dgan.config import AlgorithmConfig
from flower_dgan.gan.bundle import BundleSettings, draw_shared
from flower_dgan.gan.discriminator import DiscriminatorHalf, discriminator_loss, generator_losses
from flower_dgan.gan.exchange import Batch
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.randomness import derive_generator


def train_reference_selective(
    generator: GeneratorHalf,
    server: DiscriminatorHalf,
    clients: Sequence[LocalClient],
    settings: BundleSettings,
    *,
    rounds: int,
    algorithm: AlgorithmConfig,
) -> None:
    """Train G and the server's D in place; see :func:`flower_dgan.algorithms.asyndgan.train` for the parameters."""
    labels = [client.labels for client in clients]
    for round_number in range(1, rounds + 1):
        inputs = draw_shared(labels, settings, round_number, 0)
        images = generator.network(inputs)
        fixed = Batch(images.detach(), inputs.label_maps)
        before = nn.utils.parameters_to_vector(server.network.parameters()).detach()
        uploads = []
        for client in clients:
            half = client.half
            half.network.load_state_dict(copy.deepcopy(server.network.state_dict()))
            real = client.session(settings).draw_real(round_number, 0)
            for _ in range(half.steps):
                half.optimizer.zero_grad()
                discriminator_loss(half.network, half.loss, half.discriminator_weight, real, fixed).backward()  # type: ignore[no-untyped-call]
                half.optimizer.step()
            delta = nn.utils.parameters_to_vector(half.network.parameters()).detach() - before
            places = derive_generator(settings.seed, "upload", round_number, client.labels.name)
            uploads.append(delta * _selected(delta, algorithm, places))
        together = torch.stack(uploads)
        kept = together.gather(0, together.abs().argmax(0, keepdim=True))[0]
        nn.utils.vector_to_parameters(before + kept, server.network.parameters())
        leaf = images.detach().requires_grad_(True)
        judged = Batch(leaf, inputs.label_maps)
        losses = generator_losses(server.network, server.loss, server.generator_weight, None, judged, judged)
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        generator.optimizer.zero_grad()
        images.backward(gradient / settings.batch_size)
        generator.optimizer.step()


def _selected(delta: Tensor, algorithm: AlgorithmConfig, places: torch.Generator) -> Tensor:
    """Return a mask of the entries that are uploaded."""
    count = math.ceil(algorithm.upload_share * len(delta))
    if algorithm.upload == "threshold":
        return delta.abs() >= algorithm.upload_threshold
    mask = torch.zeros(len(delta), dtype=torch.bool)
    if algorithm.upload == "random":
        mask[torch.randperm(len(delta), generator=places)[:count]] = True
    else:
        magnitudes = delta.abs().tolist()
        mask[sorted(range(len(delta)), key=lambda place: -magnitudes[place])[:count]] = True
    return mask
