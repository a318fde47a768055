"""One loss made of the scores that all clients gave to the same synthetic images.

Client k returns its score s_k(x), a logit, and ds_k/dx. A rule makes the generator's loss L(s_1, ..., s_K) of the
scores, and the server finishes the chain rule that no client could: dL/dx = sum_k dL/ds_k ds_k/dx. With S = 1 this is
exact; the rules are in ``uagan``, ``gman`` and ``distributed_gan``.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flower_dgan.algorithms.distributed_gan import average
from flower_dgan.algorithms.gman import softmax
from flower_dgan.algorithms.uagan import odds
from flower_dgan.config import AlgorithmConfig
from flower_dgan.config.import_path import is_import_path
from flower_dgan.data.channels import held
from flower_dgan.gan.exchange import Feedback
from flower_dgan.gan.losses import SampleLoss
from flower_dgan.plugins import load

ScoreRule = Callable[[Tensor, Tensor, SampleLoss], Tensor]
"""Makes of scores and shares, both (clients, samples), and a loss of logits the generator's loss (samples,)."""


def score_rule(algorithm: AlgorithmConfig) -> ScoreRule | None:
    """Return the rule that ``algorithm.merge`` names; None where it adds the clients' gradients up."""
    match algorithm.merge:
        case "average":
            return lambda scores, _, loss: average(scores, loss)
        case "odds" | "odds-by-class":
            return odds
        case "softmax":
            return lambda scores, _, loss: softmax(scores, loss, algorithm.sharpness)
    return load(algorithm.merge, "algorithm.merge") if is_import_path(algorithm.merge) else None


def merge_scores(
    rule: ScoreRule, feedback: Sequence[Feedback], shares: Tensor, loss: SampleLoss, weight: float, channels: int
) -> Feedback:
    """Return the feedback of all clients on their common images as that of one.

    Parameters
    ----------
    rule : callable
        Makes one loss of the scores.
    feedback : sequence of Feedback
        Of each client: scores and their gradients.
    shares : Tensor, (clients, samples)
        pi_k for each sample.
    loss : callable
        The generator's loss of logits.
    weight : float
        Factor lambda_G of that loss.
    channels : int
        Of the images, some of which a client may lack.
    """
    scores = torch.stack([answer.losses for answer in feedback]).requires_grad_(True)
    losses = weight * rule(scores, shares, loss)
    (slopes,) = torch.autograd.grad(losses.sum(), scores)
    samples, _, *size = feedback[0].gradients.shape
    gradients = torch.zeros(samples, channels, *size, dtype=feedback[0].gradients.dtype)
    for slope, answer in zip(slopes, feedback, strict=True):
        gradients[:, held(answer.channels)] += slope[:, None, None, None] * answer.gradients
    return Feedback(losses.detach(), gradients)
