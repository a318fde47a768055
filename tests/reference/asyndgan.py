"""Each client judges images of its own label maps: AsynDGAN (equation 1, algorithm 1), TDGAN's tasks, fused generators.

In round t the server draws x~ = G(y, z) for every client k that it asks; the client updates D_k on (y', x') and
(y, x~) and returns g = dL_G/dx~, one batch after the other; G steps along sum_k w_k J_G^T g_k. Distributed-GAN's third
way asks one client a round in turn. TDGAN adds the reminding loss to each step of G.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from flower_dgan.data.channels import held
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.randomness import derive_generator

from . import draws
from .client import Distance, answer, loss_gradient, move
from .draws import Client, Samples
from .generator import Answered, Generator, Remind, draw, learn, rate_of
from .settings import Settings
from .weights import Agreement, weights_of
from .wire import received_gradients, received_images

_INSPECTED = 16


def train(
    generator: Generator,
    clients: Sequence[Client],
    settings: Settings,
    *,
    remind: Remind | None = None,
    distance: Distance | None = None,
) -> None:
    """Train G and all D_k in place."""
    agreement = Agreement()
    for round_number in range(1, settings.rounds + 1):
        asked = [clients[(round_number - 1) % len(clients)]] if settings.one_by_one else clients
        answers, said = [], []
        for client in asked:
            losses, answered = exchange(generator, client, settings, round_number, distance)
            said.append(losses)
            answers.append(answered)
        weights = weights_of(asked, settings, len(clients))
        if settings.merge == "agreement":
            part = _inspected_part(said)
            weights = agreement.weigh(generator, asked, answers, part, settings, rate_of(round_number, settings))
        learn(generator, answers, weights, settings, round_number, remind)


def exchange(
    generator: Generator, client: Client, settings: Settings, round_number: int, distance: Distance | None
) -> tuple[Tensor, Answered]:
    """Let one client answer a bundle of its own; return its losses, and the answer as the server has it."""
    inputs = draws.own_inputs(client, settings, round_number)
    images = draw(generator, inputs)
    received = received_images(images[:, held(client.channels)], settings.image_format)
    synthetic = Samples(received, inputs.label_maps)

    def feedback(judged: Samples, batch: int) -> tuple[Tensor, Tensor]:
        compares = settings.l1_weight or settings.perceptual_weight
        real = draws.paired(client, settings, round_number, batch) if compares else None
        return loss_gradient(client.network, settings, judged, real, distance)

    if settings.moved:
        rate = rate_of(round_number, settings)
        losses, gradients = move(client, settings, round_number, rate, synthetic, draws.real_batch)
    else:
        losses, gradients = answer(client, settings, round_number, synthetic, synthetic, draws.real_batch, feedback)
    gradients = received_gradients(gradients, settings.feedback_format)
    return losses, Answered(inputs, images, gradients, client.channels, client.deviation)


def _inspected_part(losses: Sequence[Tensor]) -> slice:
    """Return which samples agreement looks at, 16 in a row: drawn by what all clients said, so that nobody foresees."""
    size = min(_INSPECTED, len(losses[0]))
    generator = derive_generator(0, *(each.numpy().tobytes().hex() for each in losses))
    start = size * int(torch.randint(len(losses[0]) // size, (), generator=generator))
    return slice(start, start + size)


def reminding_loss(
    before: nn.Module, labels: Sequence[ClientLabels], settings: Settings, distance: Distance | None
) -> Remind:
    """Return TDGAN's lambda_1 |G(y, z) - G_prev(y, z)|_1 + lambda_p perceptual, on the label maps of all earlier tasks.

    G_prev is frozen as it is now.
    """
    frozen = deepcopy(before)

    def loss(network: nn.Module, step: int) -> Tensor:
        inputs = draws.reminding_inputs(labels, settings, step)
        with torch.no_grad():
            old = frozen(inputs)
        new = network(inputs)
        total = settings.reminding_l1_weight * (new - old).abs().mean()
        if settings.reminding_perceptual_weight:
            total = total + settings.reminding_perceptual_weight * distance(new, old).mean()
        return total

    return loss
