"""GMAN: the generator against several discriminators at once, from a forgiving teacher to the harshest critic.

I. Durugkar, I. Gemp, S. Mahadevan: "Generative Multi-Adversarial Networks", ICLR 2017.

All discriminators judge the same synthetic images. With V_k the generator's loss against discriminator k on a
minibatch, the generator minimises F(V_1, ..., V_K), one of (section 3)

    max_k V_k                                        the harshest critic (section 3.1),
    sum_k w_k V_k,  w_k = exp(lambda V_k) / sum_j exp(lambda V_j)     a softmax of sharpness lambda (section 3.2.1),

whose limits are the mean (lambda = 0) and the maximum. In the paper the discriminators see the same data; here each has
a client's own.

Deviations: only the arithmetic mean of the paper's three; lambda is fixed, not learned (GMAN*), and the weights w_k are
constants in the gradient, so that none is negative.
"""

import math

import torch
from torch import Tensor

from flower_dgan.gan.losses import SampleLoss


def softmax(scores: Tensor, loss: SampleLoss, sharpness: float) -> Tensor:
    """Return the generator's loss of each sample, (samples,).

    Parameters
    ----------
    scores : Tensor, (clients, samples)
        Logits of the discriminators on one minibatch.
    loss : callable
        The generator's loss of logits (samples, 1).
    sharpness : float
        lambda, at least 0; infinity for the maximum.
    """
    losses = torch.stack([loss(row[:, None]) for row in scores])
    values = losses.detach().mean(1)
    if sharpness == math.inf:
        return losses[values.argmax()]
    return (sharpness * values).softmax(0) @ losses
