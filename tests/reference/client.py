"""The client's half of an exchange: steps of D, then feedback on the synthetic batch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .draws import Client, Samples
from .settings import Settings

Distance = Callable[[Tensor, Tensor], Tensor]
"""Perceptual distance (batch,) of synthetic and real images."""


def step_discriminator(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    real: Samples,
    synthetic: Samples,
    deviation: Tensor | float = 1.0,
) -> None:
    """Descend L_D = lambda_D mean_i [ l(D(y_i, x_i), real) + l(D(y~_i, x~_i), fake) ] in some steps.

    With R1, gamma / 2 mean_i |s dD(y_i, x_i) / dx_i|^2 / P more, where D is the sum of the logits of P patches, and s
    the deviation that x is counted in.
    """
    for _ in range(settings.discriminator_steps):
        optimizer.zero_grad()
        images = real.images.clone().requires_grad_(True)
        logits = network(real.label_maps, images)
        on_fake = settings.loss.fake(network(synthetic.label_maps, synthetic.images))
        loss = settings.discriminator_weight * (settings.loss.real(logits) + on_fake).mean()
        if settings.gradient_penalty:
            slopes = torch.autograd.grad(logits.sum(), images, create_graph=True)[0]
            squares = ((deviation * slopes) ** 2).sum((1, 2, 3)) / logits[0].numel()
            loss = loss + settings.gradient_penalty / 2 * squares.mean()
        loss.backward()
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
        step_discriminator(client.network, client.optimizer, settings, real, fake, client.deviation)
        said, slopes = feedback(batch_of(judged, batch, settings.batch_size), batch)
        values.append(said)
        gradients.append(slopes)
    return torch.cat(values), torch.cat(gradients)


def move(
    client: Client,
    settings: Settings,
    round_number: int,
    rate: float,
    synthetic: Samples,
    real_batch: Callable[[Client, Settings, int, int], Samples],
) -> tuple[Tensor, Tensor]:
    """Go through a bundle ``passes`` times: D steps on each batch where it is, then the batch moves by rate eta.

    Returns
    -------
    tuple of two tensors
        The losses (S B,) in the first pass, and how far the images came: x~ less where they are in the end.
    """
    where = [batch_of(synthetic, batch, settings.batch_size) for batch in range(settings.exchanges)]
    first: list[Tensor] = []
    for turn in range(settings.passes):
        for batch, fake in enumerate(where):
            real = real_batch(client, settings, round_number, turn * settings.exchanges + batch)
            step_discriminator(client.network, client.optimizer, settings, real, fake, client.deviation)
            losses, slopes = loss_gradient(client.network, settings, fake, None, None)
            if turn == 0:
                first.append(losses)
            slopes = client.deviation * slopes
            slopes = slopes / torch.clamp((slopes**2).mean() ** 0.5, min=0.8 / settings.image_size**2)
            moved = fake.images - rate * settings.target_step * client.deviation * slopes
            where[batch] = Samples(moved.clamp(-1, 1), fake.label_maps)
    return torch.cat(first), synthetic.images - torch.cat([fake.images for fake in where])
