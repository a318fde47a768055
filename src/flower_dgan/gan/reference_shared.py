"""The one-process oracle of the algorithms whose clients judge common batches, with S = 1, as a plain loop.

As ``reference``, for Distributed-GAN's average, UA-GAN, GMAN and MD-GAN. The chain rule is written out at the image
here too: dL/dx = sum_k dL/ds_k ds_k/dx. That this is the gradient of one joint graph is shown by the tests in float64.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from flower_dgan.algorithms.asyndgan import LocalClient
from flower_dgan.algorithms.mdgan import batches_of, swap_partners, swaps
from flower_dgan.config import AlgorithmConfig
from flower_dgan.data.channels import held
from flower_dgan.gan.bundle import BundleSettings, draw_shared
from flower_dgan.gan.discriminator import discriminator_loss, generator_losses, scores
from flower_dgan.gan.exchange import Batch
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.merge import client_weights, sample_shares
from flower_dgan.gan.scores import score_rule
from flower_dgan.gan.shares import bound_shares


def train_reference_shared(
    generator: GeneratorHalf,
    clients: Sequence[LocalClient],
    settings: BundleSettings,
    *,
    rounds: int,
    algorithm: AlgorithmConfig,
) -> None:
    """Train G and all D_k in place; see :func:`flower_dgan.algorithms.asyndgan.train` for the parameters."""
    labels = [client.labels for client in clients]
    weights = client_weights(algorithm.merge, {client.labels.name: len(client.images) for client in clients})
    weights = bound_shares(weights, algorithm.largest_share, len(clients))
    rule = score_rule(algorithm)
    for round_number in range(1, rounds + 1):
        inputs = [draw_shared(labels, settings, round_number, n) for n in range(algorithm.shared_batches)]
        images = [generator.network(each) for each in inputs]
        answers: list[tuple[int, Tensor, Tensor]] = []  # a client's gradient is 0 in the channels that it lacks
        for index, client in enumerate(clients):
            half = client.half
            judged, trained_on = batches_of(index, len(inputs))
            if not algorithm.separate_batches:
                trained_on = judged
            real = client.session(settings).draw_real(round_number, 0)
            for _ in range(half.steps):
                fixed = Batch(images[trained_on].detach()[:, held(client.channels)], inputs[trained_on].label_maps)
                half.optimizer.zero_grad()
                discriminator_loss(half.network, half.loss, half.discriminator_weight, real, fixed).backward()  # type: ignore[no-untyped-call]
                half.optimizer.step()
            leaf = images[judged].detach()[:, held(client.channels)].requires_grad_(True)
            synthetic = Batch(leaf, inputs[judged].label_maps)
            if rule is None:
                values = generator_losses(half.network, half.loss, half.generator_weight, None, real, synthetic)
            else:
                values = scores(half.network, synthetic)
            gradient = torch.zeros_like(images[judged])
            gradient[:, held(client.channels)] = torch.autograd.grad(values.sum(), leaf)[0]
            answers.append((judged, values.detach(), gradient))
        generator.optimizer.zero_grad()
        if rule is None:
            for (judged, _, gradient), weight in zip(answers, weights.values(), strict=True):
                images[judged].backward(gradient * (weight / settings.batch_size), retain_graph=True)
        else:
            half = clients[0].half
            said = torch.stack([values for _, values, _ in answers]).requires_grad_(True)
            shares = sample_shares(algorithm.merge, labels, weights, inputs[0].label_maps, algorithm.largest_share)
            loss = half.generator_weight * rule(said, shares, half.loss.generator).sum()
            (slopes,) = torch.autograd.grad(loss, said)
            total = torch.zeros_like(answers[0][2])
            for slope, (_, _, gradient) in zip(slopes, answers, strict=True):
                total += slope[:, None, None, None] * gradient
            images[0].backward(total / settings.batch_size)
        generator.optimizer.step()
        if swaps(algorithm.swap_interval, round_number):
            partners = swap_partners([client.labels.name for client in clients], settings.seed, round_number)
            networks = {client.labels.name: client.half.network for client in clients}
            parameters = {name: copy.deepcopy(network.state_dict()) for name, network in networks.items()}
            for name, partner in partners.items():
                networks[partner].load_state_dict(parameters[name])
