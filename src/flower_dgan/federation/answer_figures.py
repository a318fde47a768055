"""What the answers of a round look like, in a few numbers: of what the clients send anyway."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
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
    means = {name: each.feedback.gradients.mean(0) for name, each in answers.items() if len(each.feedback.losses)}
    units = {
        name: mean / norm for name, mean in means.items() if (norm := mean.norm()) > 0 and math.isfinite(float(norm))
    }
    return {
        name: _figures(_scores(losses[name], loss), _gradients(name, answer.feedback, units))
        for name, answer in answers.items()
    }


def _figures(scores: tuple[float | None, float | None], gradients: tuple[float | None, float | None]) -> AnswerFigures:
    return AnswerFigures(scores[0], scores[1], gradients[0], gradients[1])


def _scores(losses: Tensor, loss: LossName | None) -> tuple[float | None, float | None]:
    if loss is None or not len(losses):
        return None, None
    scores = SCORE_OF[loss](losses.double())
    mean, spread = float(scores.mean()), float(scores.std(correction=0))
    return (mean, spread) if math.isfinite(mean) and math.isfinite(spread) else (None, None)


def _gradients(name: str, feedback: Feedback, units: Mapping[str, Tensor]) -> tuple[float | None, float | None]:
    if not len(feedback.losses):
        return None, None
    length = float(feedback.gradients.flatten(1).norm(dim=1).mean())
    direction = None
    if (own := units.get(name)) is not None:
        others = [each for other, each in units.items() if other != name and each.shape == own.shape]
        if others and (together := torch.stack(others).sum(0)).norm() > 0:
            direction = float(F.cosine_similarity(own.flatten(), together.flatten(), dim=0))
    return (length if math.isfinite(length) else None), direction
