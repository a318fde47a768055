"""Merge rules: how much the feedback of each client counts in the generator's gradient.

``samples``, ``equal``
    By its number of images, or all alike, as in the papers. One client with bad feedback, by mistake or on purpose,
    then leads the generator where it likes, but no faster than ``flower_dgan.gan.guard`` lets it.
``agreement``
    All alike, but those not at all whose gradients point against the others', see :class:`Agreement`. It bears a
    minority of bad clients. It does not ask for the number of images, which is a client's own claim, and needs at least
    three clients: of two that contradict each other either may be right.

A number of images is a client's own claim: ``flower_dgan.gan.shares`` holds what it is worth below a share of the
whole.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.config import MergeName

Weights = Mapping[str, float]
"""By the clients' names."""

MergeRule = Callable[[Weights, Callable[[], Tensor]], Weights]
"""Makes of the given weights those that the clients get, once a bundle. The second argument computes, for a rule that
wants it, the gradient that each client asks for, (clients, parameters)."""

_FEWEST_CLIENTS = 3
_LONGEST = 5.0
_MEMORY = 0.9


def merge_rule(name: MergeName, trust: dict[str, float]) -> MergeRule:
    """Return a rule; ``trust`` is what it remembers of the clients of a training, and is changed in place."""
    return Agreement(trust) if name == "agreement" else as_given


def as_given(weights: Weights, _gradients: Callable[[], Tensor]) -> Weights:
    """Leave the weights as they are."""
    return weights


class Agreement:
    """Clients whose gradients point against the others' count nothing; it remembers the clients of a run.

    How far a client agrees in one bundle is the cosine between its gradient and the sum of those of the other clients
    that have agreed so far, each scaled to length one. As it varies much among honest clients, too, its moving average
    over the bundles decides: while that is not positive, the client's weight is zero and the others share it. A client
    that answers better again comes back. A gradient longer than five times the median length counts as much less as it
    is longer than that.

    X. Cao, M. Fang, J. Liu, N. Gong: "FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping", NDSS 2021,
    weighs by the cosine, cut off at zero, and scales all to one length. Deviations: the other clients
    stand for clean data of the server; the mean over the bundles, and only its sign; no gradient is lengthened.

    Against f clients that point the other way 2 f + 2 clients are enough; of fewer an honest one may find as many
    against it as for it. Where nobody agrees all count.

    Parameters
    ----------
    scores : dict of str to float
        How far each client agreed so far, by name; changed in place.
    """

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores

    def __call__(self, weights: Weights, gradients: Callable[[], Tensor]) -> Weights:
        """Weigh the clients of one bundle."""
        rows = gradients()
        finite = rows.norm(dim=1).isfinite()
        rows[~finite] = 0.0
        if len(rows) >= _FEWEST_CLIENTS:  # of two that contradict each other either may be right
            trusted = torch.tensor([float(self.scores.get(name, 1.0) > 0) for name in weights])
            for name, cosine in zip(weights, _cosines(F.normalize(rows), trusted).tolist(), strict=True):
                self.scores[name] = _MEMORY * self.scores.get(name, 0.0) + (1 - _MEMORY) * cosine
        agreeing = finite * torch.tensor([float(self.scores.get(name, 1.0) > 0) for name in weights])
        shares = torch.tensor(list(weights.values())) * (agreeing if agreeing.any() else 1.0)
        lengths = rows.norm(dim=1)
        bound = _LONGEST * lengths.quantile(0.5)
        shares = shares / shares.sum() * torch.where(lengths > bound, bound / lengths, 1.0)
        return dict(zip(weights, shares.tolist(), strict=True))


def _cosines(units: Tensor, trusted: Tensor) -> Tensor:
    """Return the cosine of each row with the sum of the other trusted rows, or of all others where none is trusted."""
    others = 1 - torch.eye(len(units))
    peers = others * trusted
    peers = torch.where(peers.sum(1, keepdim=True) > 0, peers, others)
    return F.cosine_similarity(units, peers @ units)
