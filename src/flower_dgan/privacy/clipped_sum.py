"""The sum of what single samples add to a gradient, none of them more than a bound, in whole steps.

With g_i the gradient of sample i's own loss with respect to all parameters, and C the bound (Abadi et al. 2016,
"Deep Learning with Differential Privacy", algorithm 1),

    s = sum_i g_i min(1, C / |g_i|),

here in units of C and whole steps of :data:`~flower_dgan.privacy.noise.GRID`, so that the sum is exact and noise may be
added as :mod:`flower_dgan.privacy.noise` does. A gradient that is not finite adds nothing: a sum that is none would
tell that somebody is there. A sample's gradient is computed as if it were alone, but for the order in which float32 is
added up, which others may change in the last bits: the bound is kept with room for that.
"""

from __future__ import annotations

from collections.abc import Callable

from flower_dgan.lazily import torch
from flower_dgan.privacy.noise import GRID

_AT_ONCE = 2**22  # numbers of single gradients in memory: 16 MiB, and a few times that meanwhile
_ROOM = 2**-10

SampleLoss = Callable[["torch.Tensor"], "torch.Tensor"]
"""Of logits (1, ...) a loss (1,)."""


def clipped_sum(
    network: torch.nn.Module, loss: SampleLoss, inputs: tuple[torch.Tensor, ...], bound: float
) -> torch.Tensor:
    """Return s, (entries,), float64 with whole numbers, of all parameters of a network, one after the other.

    Parameters
    ----------
    network : nn.Module
        Judges each sample by itself: no batch normalisation.
    loss : callable
        Of the logits of one sample.
    inputs : tuple of Tensor, (samples, ...)
        What the network is called with; of no samples the sum is 0.
    bound : float
        C, above 0.
    """
    weights = {name: each.detach() for name, each in network.named_parameters()}
    entries = sum(each.numel() for each in weights.values())
    device = next(iter(weights.values())).device
    total = torch.zeros(entries, dtype=torch.float64, device=device)

    def alone(values: dict[str, torch.Tensor], *sample: torch.Tensor) -> torch.Tensor:
        return loss(torch.func.functional_call(network, values, tuple(each[None] for each in sample))).sum()

    of_each = torch.func.vmap(torch.func.grad(alone), in_dims=(None, *(0 for _ in inputs)))
    part = max(1, _AT_ONCE // entries)
    for start in range(0, len(inputs[0]), part):
        found = of_each(weights, *(each[start : start + part] for each in inputs))
        total += whole_clipped(torch.cat([found[name].flatten(1) for name in weights], 1), bound).sum(
            0, dtype=torch.float64
        )
    return total


def whole_clipped(gradients: torch.Tensor, bound: float) -> torch.Tensor:
    """Return single gradients (samples, entries), float32, in units of C and whole steps, none longer than 1.

    Each entry is cut off towards 0, which makes no gradient longer.
    """
    lengths = torch.linalg.vector_norm(gradients, dim=1, keepdim=True, dtype=torch.float64)  # none is too large for it
    finite = lengths.isfinite()
    if not finite.all():
        gradients = torch.where(finite, gradients, 0.0)
    factors = GRID * (1 - _ROOM) / torch.where(finite, lengths, 0.0).clamp_min(bound)
    whole: torch.Tensor = (gradients * factors.to(gradients)).trunc()
    return whole
