"""The client's half of an exchange: steps of D, then feedback on the synthetic batch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .draws import Client, Samples
from .settings import Settings

Distance = Callable[[Tensor, Tensor], Tensor]
"""Perceptual distance (batch,) of synthetic and real images."""


def step_discriminator(
    network: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings, real: Samples, synthetic: Samples
) -> None:
    """Descend L_D = lambda_D mean_i [ l(D(y_i, x_i), real) + l(D(y~_i, x~_i), fake) ] in some steps."""
    for _ in range(settings.discriminator_steps):
        optimizer.zero_grad()
        on_real = settings.loss.real(network(real.label_maps, real.images))
        on_fake = settings.loss.fake(network(synthetic.label_maps, synthetic.images))
        (settings.discriminator_weight * (on_real + on_fake).mean()).backward()
        optimizer.step()


def loss_gradient(
    network: nn.Module, settings: Settings, synthetic: Samples, real: Samples | None, distance: Distance | None
) -> tuple[Tensor, Tensor]:
    """Return L_i = lambda_G [ l(D(y~_i, x~_i), real) + distances to x_i ] of each sample, and dL_i/dx~_i."""
    images = synthetic.images.clone().requires_grad_(True)
    losses = settings.loss.generator(network(synthetic.label_maps, images))
    if settings.l1_weight or settings.perceptual_weight:
        losses = losses + settings.l1_weight * (images - real.images).abs().mean((1, 2, 3))
    if settings.perceptual_weight:
        losses = losses + settings.perceptual_weight * distance(images, real.images)
    losses = settings.generator_weight * losses
    return losses.detach(), torch.autograd.grad(losses.sum(), images)[0]


def score_gradient(network: nn.Module, synthetic: Samples) -> tuple[Tensor, Tensor]:
    """Return s_i, D's mean logit over the patches of image i, and ds_i/dx~_i."""
    images = synthetic.images.clone().requires_grad_(True)
    scores = network(synthetic.label_maps, images).mean((1, 2, 3))
    return scores.detach(), torch.autograd.grad(scores.sum(), images)[0]


def batch_of(samples: Samples, batch: int, size: int) -> Samples:
    """Return one batch of a bundle, from 0."""
    part = slice(batch * size, (batch + 1) * size)
    return Samples(samples.images[part], samples.label_maps[part])


def answer(
    client: Client,
    settings: Settings,
    round_number: int,
    trained_on: Samples,
    judged: Samples,
    real_batch: Callable[[Client, Settings, int, int], Samples],
    feedback: Callable[[Samples, int], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Answer a bundle: for each of its S batches in turn D steps, and gives feedback on the batch that it judges.

    Returns
    -------
    tuple of two tensors
        Losses or scores (S B,) and their gradients with respect to the images judged.
    """
    values, gradients = [], []
    for batch in range(settings.exchanges):
        real = real_batch(client, settings, round_number, batch)
        fake = batch_of(trained_on, batch, settings.batch_size)
        step_discriminator(client.network, client.optimizer, settings, real, fake)
        said, slopes = feedback(batch_of(judged, batch, settings.batch_size), batch)
        values.append(said)
        gradients.append(slopes)
    return torch.cat(values), torch.cat(gradients)
