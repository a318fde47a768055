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

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.algorithms.uagan import class_shares
from flower_dgan.config import ImportPath, MergeName
from flower_dgan.config.import_path import is_import_path
from flower_dgan.errors import FederationError
from flower_dgan.gan.bundle import ClientLabels

Weights = Mapping[str, float]
"""By the clients' names."""

MergeRule = Callable[[Weights, Callable[[], Tensor]], Weights]
"""Makes of the given weights those that the clients get, once a bundle. The second argument computes, for a rule that
wants it, the gradient that each client asks for, (clients, parameters)."""

_FEWEST_CLIENTS = 3
_LONGEST = 5.0
_MEMORY = 0.9


def client_weights(rule: MergeName | ImportPath, image_counts: Mapping[str, int]) -> dict[str, float]:
    """Return the weight w_k of each client that answered; they sum to 1.

    Parameters
    ----------
    rule : MergeName or ImportPath
        ``samples``, ``odds`` and import paths: pi_k = n_k / sum n (AsynDGAN, equation 1); the others: 1 / K, as in its
        released code up to the factor K, which Adam does not see.
    image_counts : mapping of str to int
        Images n_k of each client, each at least 1.

    Raises
    ------
    ValueError
        If there is no client, or one without images.
    """
    if not image_counts or min(image_counts.values()) < 1:
        raise ValueError(f"image counts {dict(image_counts)}: at least one client, each with at least one image")
    if rule not in ("samples", "odds") and not is_import_path(rule):
        return dict.fromkeys(image_counts, 1 / len(image_counts))
    images = sum(image_counts.values())
    return {name: count / images for name, count in image_counts.items()}


def sample_shares(
    rule: MergeName | ImportPath,
    clients: Sequence[ClientLabels],
    weights: Weights,
    label_maps: Tensor,
    largest: float = 1.0,
) -> Tensor:
    """Return how much each client counts for each of some samples, (clients, samples).

    Parameters
    ----------
    rule : MergeName or ImportPath
        ``odds-by-class``: the clients' shares of the images of its class; the others: the weights.
    clients : sequence of ClientLabels
        Those that answered.
    weights : mapping of str to float
        Theirs, in the same order.
    label_maps : Tensor, (samples, classes, height, width)
        Those of the samples.
    largest : float
        Largest share of one client, below which the weights are already; see
        :func:`flower_dgan.algorithms.uagan.class_shares`.
    """
    if rule == "odds-by-class":
        return class_shares(clients, label_maps, largest)
    return torch.tensor(list(weights.values()))[:, None].expand(-1, len(label_maps))


def require_clients(rule: MergeName | ImportPath, clients: int) -> None:
    """Raise FederationError if a training has too few clients for a rule."""
    if rule == "agreement" and clients < _FEWEST_CLIENTS:
        raise FederationError(
            f"algorithm.merge={rule} needs at least {_FEWEST_CLIENTS} clients, and there are {clients}: wait for more "
            "with exchange.min_nodes, or set algorithm.merge=equal."
        )


def merge_rule(name: MergeName | ImportPath) -> MergeRule:
    """Return a rule for one run."""
    return Agreement() if name == "agreement" else as_given


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
    """

    def __init__(self) -> None:
        self.scores: dict[str, float] = {}

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
