"""All clients judge the same images, and one loss is made of what their discriminators say.

Client k returns its score s_k(x), a logit, and ds_k/dx. The server makes one loss L of the scores, and finishes the
chain rule: dL/dx = sum_k dL/ds_k ds_k/dx.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.data.channels import held
from flower_dgan.gan.exchange import GeneratorInput

from . import draws
from .client import answer, score_gradient
from .draws import Client, Samples
from .generator import Answered, Generator, draw, learn
from .settings import Settings
from .weights import capped, weights_of
from .wire import received_gradients, received_images


def train(generator: Generator, clients: Sequence[Client], settings: Settings) -> None:
    """Train G and all D_k in place."""
    for round_number in range(1, settings.rounds + 1):
        inputs = draws.common_inputs(clients, settings, round_number, 0)
        images = draw(generator, inputs)
        scores, gradients = [], []
        for client in clients:
            received = received_images(images[:, held(client.channels)], settings.image_format)
            shown = Samples(received, inputs.label_maps)

            def feedback(batch: Samples, _: int, client: Client = client) -> tuple[Tensor, Tensor]:
                return score_gradient(client.network, batch)

            said, ways = answer(client, settings, round_number, shown, shown, draws.real_batch, feedback)
            scores.append(said)
            gradients.append(received_gradients(ways, settings.feedback_format))
        slopes = slopes_of(torch.stack(scores), shares_of(clients, inputs, settings), settings)
        total = torch.zeros_like(images)
        for client, slope, gradient in zip(clients, slopes, gradients, strict=True):
            total[:, held(client.channels)] += slope[:, None, None, None] * gradient
        learn(generator, [Answered(inputs, images, total)], [1.0], settings, round_number)


def slopes_of(scores: Tensor, shares: Tensor, settings: Settings) -> Tensor:
    """Return dL_i/ds_k, (clients, samples), of L_i = lambda_G times the loss that the rule makes of the scores.

    They are left to automatic differentiation, in the formulas' own order: where a parameter's gradient is zero but for
    rounding Adam makes a whole step of it, so that other roundings would be other steps. That they are the slopes that
    one derives by hand is shown in float64 beside this.
    """
    said = scores.clone().requires_grad_(True)
    if settings.merge == "softmax":
        losses = weigh_teachers(said, settings)
    else:
        common = mean_logit(said) if settings.merge == "average" else odds_logit(said, shares)
        losses = settings.loss.generator(common[:, None])
    return torch.autograd.grad((settings.generator_weight * losses).sum(), said)[0]


def odds_logit(scores: Tensor, shares: Tensor) -> Tensor:
    """UA-GAN, section 3.1: odds = sum_k pi_k exp(s_k); the logit of D_ua is log odds."""
    return torch.logsumexp(shares.log() + scores, 0)


def mean_logit(scores: Tensor) -> Tensor:
    """Distributed-GAN's second way: D = 1/K sum_k D_k; its logit is log sum_k D_k - log sum_k (1 - D_k)."""
    return torch.logsumexp(F.logsigmoid(scores), 0) - torch.logsumexp(F.logsigmoid(-scores), 0)


def weigh_teachers(scores: Tensor, settings: Settings) -> Tensor:
    """GMAN, section 3.2.1: sum_k w_k l(s_k), w_k = exp(lambda V_k) / sum_j exp(lambda V_j), V_k the mean of l(s_k).

    The weights are constants in the gradient. An infinite lambda leaves the largest V_k alone: section 3.1.
    """
    losses = torch.stack([settings.loss.generator(row[:, None]) for row in scores])
    values = losses.detach().mean(1)
    if math.isinf(settings.sharpness):
        return losses[int(values.argmax())]
    return (settings.sharpness * values).softmax(0) @ losses


def shares_of(clients: Sequence[Client], inputs: GeneratorInput, settings: Settings) -> Tensor:
    """Return pi_k, or pi_k(y), for each sample, (clients, samples)."""
    if settings.merge == "odds-by-class":
        return class_shares(clients, inputs, settings)
    weights = torch.tensor(weights_of(clients, settings, len(clients)))
    return weights[:, None].expand(-1, len(inputs))


def class_shares(clients: Sequence[Client], inputs: GeneratorInput, settings: Settings) -> Tensor:
    """Return pi_k(y), client k's share of the images of a sample's class, bounded where three or more have some."""
    counts = [[int(label_map[0, 0]) for label_map in client.labels.label_maps] for client in clients]
    columns = []
    for label_map in inputs.label_maps:
        wanted = int(label_map[:, 0, 0].argmax())
        have = torch.tensor([count.count(wanted) for count in counts]).float()
        shares, owners = have / have.sum(), have.nonzero()[:, 0]
        if len(owners) >= 3:
            shares[owners] = torch.tensor(capped(shares[owners].tolist(), settings.largest_share))
        columns.append(shares)
    return torch.stack(columns, 1)
