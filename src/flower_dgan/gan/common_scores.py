"""One loss made of the scores that all clients gave to the same synthetic images.

Client k returns its score s_k(x), a logit, and ds_k/dx. A rule makes the generator's loss L(s_1, ..., s_K) of the
scores, and the server finishes the chain rule that no client could: dL/dx = sum_k dL/ds_k ds_k/dx. With one exchange a
round this is exact.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flower_dgan.data.channels import held
from flower_dgan.gan.exchange import Feedback


def merge_scores(
    rule: Callable[[Tensor], Tensor], feedback: Sequence[Feedback], weight: float, channels: int
) -> Feedback:
    """Return the feedback of all clients on their common images as that of one.

    Parameters
    ----------
    rule : callable
        Makes of the scores, (clients, samples), the generator's loss (samples,).
    feedback : sequence of Feedback
        Of each client: scores and their gradients.
    weight : float
        Factor lambda_G of that loss.
    channels : int
        Of the images, some of which a client may lack.
    """
    scores = torch.stack([answer.losses for answer in feedback]).requires_grad_(True)
    losses = weight * rule(scores)
    (slopes,) = torch.autograd.grad(losses.sum(), scores)
    samples, _, *size = feedback[0].gradients.shape
    gradients = torch.zeros(samples, channels, *size, dtype=feedback[0].gradients.dtype)
    for slope, answer in zip(slopes, feedback, strict=True):
        gradients[:, held(answer.channels)] += slope[:, None, None, None] * answer.gradients
    return Feedback(losses.detach(), gradients)
