"""What the answers of a round look like, in a few numbers: of what the clients send anyway."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from flower_dgan.config import LossName
from flower_dgan.gan.exchange import Answer, Feedback


@dataclass(frozen=True)
class AnswerFigures:
    """Of one answer, see :class:`~flower_dgan.run.round_records.ClientRound`.

    Attributes
    ----------
    score, score_spread : float or None
        Mean and standard deviation of what its discriminator thinks of synthetic images.
    length : float or None
        Mean length of the gradient of a sample.
    direction : float or None
        Cosine of its mean gradient with that of the others.
    follows : float or None
        How far its gradients follow the label maps as those of the others do.
    """

    score: float | None = None
    score_spread: float | None = None
    length: float | None = None
    direction: float | None = None
    follows: float | None = None


NO_FIGURES = AnswerFigures()
_NOTHING = 1e-3  # length of a sum of vectors, of length one at most, that cancel each other
_SAMPLES = 64  # by which it is judged whether gradients follow label maps: more cost more, and say little more

SCORE_OF: Mapping[LossName, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "bce": lambda losses: -torch.log(torch.expm1(losses.clamp(1e-6, 80.0))),
        "minimax": lambda losses: torch.log(torch.expm1((-losses).clamp(1e-6, 80.0))),
        "least-squares": lambda losses: 1 - losses.clamp(min=0.0).sqrt(),
        "hinge": lambda losses: -losses,
        "wasserstein": lambda losses: -losses,
    }
)
"""The score that gives the generator this loss, where all patches of an image have the same.

Of two scores with the same least-squares loss it is the one that says "synthetic".
"""


def answer_figures(
    answers: Mapping[str, Answer],
    losses: Mapping[str, Tensor],
    loss: LossName | None,
    label_maps: Mapping[str, Tensor] = {},
) -> dict[str, AnswerFigures]:
    """Return the figures of the answers of a round.

    Parameters
    ----------
    answers : mapping of str to Answer
        By client name.
    losses : mapping of str to Tensor
        The generator's losses (samples,) on each client's images, by client name.
    loss : str or None
        The adversarial loss that these are the generator's part of; None where something was added to it.
    label_maps : mapping of str to Tensor
        One-hot label maps (samples, classes, height, width) of what each client was asked about, by client name.

    Returns
    -------
    dict of str to AnswerFigures
        By client name; without feedback there are none. Directions there are where at least two clients have feedback
        on images of the same shape that is not zero.
    """
    gradients = {name: each.feedback.gradients for name, each in answers.items()}
    directions, follow = _directions(gradients), _follow(gradients, label_maps)
    return {
        name: _figures(losses[name], loss, answer.feedback, directions.get(name), follow.get(name))
        for name, answer in answers.items()
    }


def _figures(
    losses: Tensor, loss: LossName | None, feedback: Feedback, direction: float | None, follows: float | None
) -> AnswerFigures:
    score = spread = length = None
    if loss is not None and len(losses):
        scores = SCORE_OF[loss](losses.double())
        score, spread = _finite(scores.mean()), _finite(scores.std(correction=0))
    if len(feedback.losses):
        length = _finite(feedback.gradients.flatten(1).norm(dim=1).mean())
    return AnswerFigures(score, spread, length, direction, follows)


def _finite(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _directions(gradients: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the cosine of each mean gradient u_k, of length one, with the sum of the others: one pass over all.

    It is (u_k . s - 1) / |s - u_k| for the sum s of all of them.
    """
    by_shape: dict[torch.Size, dict[str, Tensor]] = {}
    for name, each in gradients.items():
        if len(each):
            mean = each.mean(0)
            norm = float(mean.norm())
            if norm > 0 and math.isfinite(norm):
                by_shape.setdefault(mean.shape, {})[name] = mean.flatten() / norm
    found = {}
    for units in by_shape.values():
        together = torch.stack(list(units.values()))
        total = together.sum(0)
        along, whole = together @ total, total @ total
        others = (whole - 2 * along + 1).clamp(min=0).sqrt()
        cosines = ((along - 1) / others).tolist()
        for name, cosine, length in zip(units, cosines, others.tolist(), strict=True):
            if length > _NOTHING:
                found[name] = min(1.0, max(-1.0, cosine))
    return found


def _follow(gradients: Mapping[str, Tensor], label_maps: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far each client's gradients follow the label maps in the way in which those of the others do.

    Of each sample the gradient and the label map are taken less their means over the samples, so that what all have in
    common does not count, and made as long as one. The mean over the samples of their products, summed over the pixels,
    is a matrix (classes, channels); what is returned is its part along the sum of the others'. A discriminator that saw
    images with the label maps of others knows nothing by which its gradients could follow them.
    """
    by_shape: dict[torch.Size, dict[str, Tensor]] = {}
    for name, each in gradients.items():
        maps = label_maps.get(name)
        if maps is None or len(each) < 2 or len(maps) != len(each) or maps.shape[2:] != each.shape[2:]:
            continue
        matrix = torch.einsum("nkhw,nchw->kc", _centred(maps[:_SAMPLES]), _centred(each[:_SAMPLES]))
        matrix /= min(len(each), _SAMPLES)
        if bool(matrix.isfinite().all()) and bool(matrix.any()):
            by_shape.setdefault(matrix.shape, {})[name] = matrix.flatten()
    found = {}
    for matrices in by_shape.values():
        total = torch.stack(list(matrices.values())).sum(0)
        for name, matrix in matrices.items():
            others = total - matrix
            if (length := float(others.norm())) > _NOTHING:
                found[name] = float(matrix @ others) / length
    return found


def _centred(values: Tensor) -> Tensor:
    """Return the samples less their mean, each as long as one; one that is the mean stays 0."""
    values = values.float()
    values = values - values.mean(0)
    lengths = values.flatten(1).norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    centred: Tensor = values / lengths[:, None, None, None]
    return centred
