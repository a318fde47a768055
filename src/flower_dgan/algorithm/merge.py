"""Merge rules: how the clients' parts become the generator's gradient.

A part is what one client's feedback says about the generator's parameters: a gradient, times the client's weight w_k.
``samples`` and ``equal`` add the parts up, as the papers do. One client with bad feedback, by mistake or on purpose,
then leads the generator where it likes. The other rules bear that of a minority. They count all clients alike, as the
number of its images is a client's own claim, and need at least three: of two that contradict each other either may be
right.

``median``, ``trimmed-mean``
    Entry by entry, see :func:`trimmed_mean`.
``bounded``
    The sum of parts none of which is much longer than the others, see :func:`bounded`.
``agreement``
    The mean over the clients that point where the others point, see :class:`Agreement`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.config import MergeName
from flower_dgan.errors import FederationError

Part = Sequence[Tensor]
"""One tensor for each parameter of the generator."""

Weights = Mapping[str, float]
"""By the clients' names."""

MergeRule = Callable[[Weights, Iterable[Part]], tuple[Part, Weights]]
"""Takes the weights w_k and, in their order, the parts; returns the gradient and the weight that each client got."""

_FEWEST_CLIENTS = 3
_LONGEST = 2.0
_MEMORY = 0.95


def client_weights(rule: MergeName, image_counts: Mapping[str, int]) -> dict[str, float]:
    """Return the weight w_k of each client that answered; they sum to 1.

    Parameters
    ----------
    rule : MergeName
        ``samples``: pi_k = n_k / sum n (AsynDGAN, equation 1); the others: 1 / K, as in its released code up to the
        factor K, which Adam does not see.
    image_counts : mapping of str to int
        Images n_k of each client, each at least 1.

    Raises
    ------
    FederationError
        If the rule needs more clients.
    ValueError
        If there is no client, or one without images.
    """
    if not image_counts or min(image_counts.values()) < 1:
        raise ValueError(f"image counts {dict(image_counts)}: at least one client, each with at least one image")
    if rule not in ("samples", "equal") and len(image_counts) < _FEWEST_CLIENTS:
        raise FederationError(
            f"algorithm.merge={rule} needs feedback from at least {_FEWEST_CLIENTS} clients, and there is that of "
            f"{len(image_counts)}: wait for more with exchange.min_nodes, or set algorithm.merge=equal."
        )
    if rule != "samples":
        return dict.fromkeys(image_counts, 1 / len(image_counts))
    images = sum(image_counts.values())
    return {name: count / images for name, count in image_counts.items()}


def merge_rule(name: MergeName) -> MergeRule:
    """Return a rule for one run."""
    match name:
        case "samples" | "equal":
            return total
        case "median":
            return lambda weights, parts: trimmed_mean(weights, parts, (len(weights) - 1) // 2)
        case "trimmed-mean":
            return lambda weights, parts: trimmed_mean(weights, parts, max(1, len(weights) // 4))
        case "bounded":
            return bounded
        case "agreement":
            return Agreement()


def total(weights: Weights, parts: Iterable[Part]) -> tuple[Part, Weights]:
    """Add the parts up, in their order; no more of them are in memory than the iterator holds."""
    gradient: Part = ()
    for part in parts:
        gradient = [value.add_(other) for value, other in zip(gradient, part, strict=True)] if gradient else part
    return gradient, weights


def trimmed_mean(weights: Weights, parts: Iterable[Part], cut: int) -> tuple[Part, Weights]:
    """Average each entry over the clients but those with its ``cut`` largest and its ``cut`` smallest values.

    D. Yin, Y. Chen, K. Ramchandran, P. Bartlett: "Byzantine-Robust Distributed Learning: Towards Optimal Statistical
    Rates", ICML 2018, definition 2; with the largest ``cut`` that leaves a value this is the median, definition 1. The
    weight that a client got is its share of the values that were averaged.
    """
    like, rows = _rows(parts)
    clients = len(rows)
    values, owners = rows.sort(dim=0, stable=True)
    kept = slice(cut, clients - cut)
    used = owners[kept].flatten().bincount(minlength=clients) / owners[kept].numel()
    return _unflatten(values[kept].mean(0) * clients, like), dict(zip(weights, used.tolist(), strict=True))


def bounded(weights: Weights, parts: Iterable[Part]) -> tuple[Part, Weights]:
    """Add the parts up, those longer than twice the median length shortened to that."""
    like, rows = _rows(parts)
    return _weighted_sum(weights, rows, _shortening(rows), like)


class Agreement:
    """The mean over the clients whose gradients point where those of the others point; it remembers a run.

    A client agrees in a step as far as its gradient has the direction of the others' sum: the cosine between its part
    and the sum of all other parts, each scaled to length one. As generator gradients of different clients differ much
    in a single step even where all are honest, it is the moving average of this cosine over the steps that decides:
    while it is not positive, the client's weight is zero. The other clients share its weight. A client that answers
    better again comes back, and one that stayed away for some rounds is remembered by its name.

    X. Cao, M. Fang, J. Liu, N. Gong: "FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping", NDSS 2021,
    section IV, has the cosine cut off at zero as the weight, and all parts scaled to one length. Deviations: the other
    clients stand for its clean data of the server; the average over the steps, and of it only the sign; parts are not
    all scaled to one length, but those longer than twice the median length to that.
    """

    def __init__(self) -> None:
        self._agreement: dict[str, float] = {}

    def __call__(self, weights: Weights, parts: Iterable[Part]) -> tuple[Part, Weights]:
        """Merge the parts of one step."""
        like, rows = _rows(parts)
        units = F.normalize(rows)
        cosines = F.cosine_similarity(units, units.sum(0) - units)
        for name, cosine in zip(weights, cosines.tolist(), strict=True):
            self._agreement[name] = _MEMORY * self._agreement.get(name, 0.0) + (1 - _MEMORY) * cosine
        agree = torch.tensor([self._agreement[name] > 0 for name in weights])
        share = agree / agree.sum() if agree.any() else torch.full(agree.shape, 1 / len(agree))
        return _weighted_sum(weights, rows, share * len(agree) * _shortening(rows), like)


def _rows(parts: Iterable[Part]) -> tuple[Part, Tensor]:
    """Return one of the parts, for its shapes, and all as the rows of a matrix.

    A part that is too long for its length to be a number becomes zeros.
    """
    parts = list(parts)
    rows = torch.stack([torch.cat([value.flatten() for value in part]) for part in parts])
    rows[~rows.norm(dim=1).isfinite()] = 0.0
    return parts[0], rows


def _shortening(rows: Tensor) -> Tensor:
    """Return the factor of each row that leaves none longer than twice the median length."""
    lengths = rows.norm(dim=1)
    bound: Tensor = _LONGEST * lengths.quantile(0.5)
    return torch.where(lengths > bound, bound / lengths, 1.0)


def _weighted_sum(weights: Weights, rows: Tensor, factors: Tensor, like: Part) -> tuple[Part, Weights]:
    got = {name: weight * factor for (name, weight), factor in zip(weights.items(), factors.tolist(), strict=True)}
    return _unflatten(factors @ rows, like), got


def _unflatten(row: Tensor, like: Part) -> Part:
    pieces = torch.split(row, [value.numel() for value in like])
    return [piece.view_as(value) for piece, value in zip(pieces, like, strict=True)]
