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
    """Of one answer, see :class:`~flower_dgan.run.run_records.ClientRound`.

    Attributes
    ----------
    score, score_spread : float or None
        Mean and standard deviation of what its discriminator thinks of synthetic images.
    length : float or None
        Mean length of the gradient of a sample.
    direction : float or None
        Cosine of its mean gradient with that of the others.
    """

    score: float | None = None
    score_spread: float | None = None
    length: float | None = None
    direction: float | None = None


NO_FIGURES = AnswerFigures()
_NOTHING = 1e-3  # length of a sum of unit vectors that cancel each other

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
    answers: Mapping[str, Answer], losses: Mapping[str, Tensor], loss: LossName | None
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

    Returns
    -------
    dict of str to AnswerFigures
        By client name; without feedback there are none. Directions there are where at least two clients have feedback
        on images of the same shape that is not zero.
    """
    directions = _directions({name: each.feedback.gradients for name, each in answers.items()})
    return {
        name: _figures(losses[name], loss, answer.feedback, directions.get(name)) for name, answer in answers.items()
    }


def _figures(losses: Tensor, loss: LossName | None, feedback: Feedback, direction: float | None) -> AnswerFigures:
    score = spread = length = None
    if loss is not None and len(losses):
        scores = SCORE_OF[loss](losses.double())
        score, spread = _finite(scores.mean()), _finite(scores.std(correction=0))
    if len(feedback.losses):
        length = _finite(feedback.gradients.flatten(1).norm(dim=1).mean())
    return AnswerFigures(score, spread, length, direction)


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
