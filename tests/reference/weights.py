"""How much each client counts: shares, their bound, and agreement."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .draws import Client
from .generator import Answered, Generator, target_steps
from .settings import Settings


def weights_of(asked: Sequence[Client], settings: Settings, clients: int) -> list[float]:
    """Return w_k of the clients that are asked, of so many: the share of the images, bounded, or the same for all."""
    if settings.merge in ("samples", "odds"):
        images = sum(len(client.images) for client in asked)
        shares = [len(client.images) / images for client in asked]
    else:
        shares = [1 / len(asked)] * len(asked)
    return shares if clients < 3 else capped(shares, settings.largest_share)


def capped(shares: Sequence[float], largest: float) -> list[float]:
    """Return min(c s_k, largest) with the one c for which they sum to 1.

    With the m largest at the bound, the others share 1 - m largest in proportion. The smallest such m is the one sought
    for which none of the others is beyond the bound. Of shares that cannot reach 1 below it all become equal.
    """
    largest = max(largest, 1 / len(shares))
    if max(shares) <= largest:
        return list(shares)
    order = sorted(range(len(shares)), key=lambda k: -shares[k])
    for at_bound in range(1, len(shares)):
        free = order[at_bound:]
        factor = (1 - at_bound * largest) / sum(shares[k] for k in free)
        if factor * shares[free[0]] <= largest * (1 + 1e-12):
            return [factor * share if k in free else largest for k, share in enumerate(shares)]
    return [largest] * len(shares)


class Agreement:
    """The moving average of each client's cosine with the others, over the bundles."""

    def __init__(self) -> None:
        self.scores: dict[str, float] = {}

    def weigh(
        self,
        generator: Generator,
        asked: Sequence[Client],
        answers: Sequence[Answered],
        part: slice,
        settings: Settings,
        rate: float,
    ) -> list[float]:
        """Return the weights: none for who contradicts those that have agreed so far, less for who asks too loudly."""
        rows = [_asked_gradient(generator, answered, part, settings, rate) for answered in answers]
        units = [row / row.norm() for row in rows]
        trusted = [self.scores.get(client.labels.name, 1.0) > 0 for client in asked]
        for k, client in enumerate(asked):
            others = [j for j in range(len(asked)) if j != k]
            peers = [j for j in others if trusted[j]] or others
            sum_of_peers = sum(units[j] for j in peers)
            cosine = float(units[k] @ sum_of_peers / sum_of_peers.norm())
            name = client.labels.name
            self.scores[name] = 0.9 * self.scores.get(name, 0.0) + 0.1 * cosine
        agrees = [self.scores[client.labels.name] > 0 for client in asked]
        if not any(agrees):
            agrees = [True] * len(asked)
        lengths = torch.stack([row.norm() for row in rows])
        ordered, middle = sorted(lengths.tolist()), len(rows) / 2 - 0.5
        median = (ordered[int(middle)] + ordered[int(middle + 0.5)]) / 2
        return [
            float(agree) / sum(agrees) * min(1.0, 5 * median / length)
            for agree, length in zip(agrees, lengths.tolist(), strict=True)
        ]


def _asked_gradient(generator: Generator, answered: Answered, part: slice, settings: Settings, rate: float) -> Tensor:
    """Return mean_i J_G^T g_i, with g as a target's step where G regresses, over some samples at the present theta."""
    images = generator.network(answered.inputs[part])
    steps = target_steps(answered, settings, rate)[part]
    parameters = list(generator.network.parameters())
    gradients = torch.autograd.grad(images, parameters, steps / len(steps))
    return torch.cat([gradient.flatten() for gradient in gradients])
