"""Bounds on what one client can say in a round: relative to the others, and to what it said before.

A reply may be finite and still ruin the generator for good, as Adam remembers the square of every gradient. So the
magnitude m_k of what client k says, a root mean square, is bounded before anything is made of it:

    m_k  <=  min( c times the median of the others' m_j,  c' times the median of its own last 20 ).

Of an even number the upper median is taken. Where fewer than two others answer in the round, as where clients take
turns, their pasts stand for them, with c' in place of c. With fewer than two others a client's own past alone counts,
and where there is no past either, only a constant. What is too large is scaled down by a factor, so that its direction
stays. The past of a client holds what was left after that: it follows a slow drift, and a jump by c' in ten rounds at
most.

With three or more answers, one of which is bad, the bad one reaches c times the median of the honest ones, and it
cannot press their bounds down: the upper median of honest clients and one other is at least the smallest of the honest.
Zeros say nothing of a magnitude and are left out of all medians.

The constants are far above what honest clients reach, which ``benchmarks/guard.py`` measures for every algorithm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flower_dgan.gan.exchange import Feedback

REMEMBERED = 20
"""Rounds of a client's own past."""

_FEWEST_OTHERS = 2


@dataclass(frozen=True)
class Reach:
    """How far a client may go beyond what is usual.

    Attributes
    ----------
    others, past : float
        c and c', each at least 1.
    least : float
        Magnitude up to which nobody is bounded, in the unit of what is guarded.
    largest : float
        Magnitude that nobody may have, whatever is usual: what is made of it, and its square, is finite in float32.
    """

    others: float
    past: float
    least: float = 0.0
    largest: float = 1e6


GRADIENTS = Reach(50.0, 400.0)
"""Of a sample's gradient in image space; clients are compared by the root mean square over all their samples."""

SCORES = Reach(100.0, 200.0, least=50.0)
"""Of a sample's score, a logit: up to 50 it is never bounded, as from there on a discriminator is sure to 1e-21."""

WEIGHTS = Reach(10.0, 20.0, largest=100.0)
"""Of the largest weight of a discriminator that moves to another client, or of the largest change that is uploaded."""


class Guard:
    """The magnitudes that clients had so far, and the bounds that follow from them.

    Parameters
    ----------
    reach : Reach
        c and c'.

    Attributes
    ----------
    past : dict of str to list of float
        Client name to its last magnitudes as they were after the bound, without zeros; the newest last.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.past: dict[str, list[float]] = {}

    def limits(self, magnitudes: Mapping[str, float]) -> dict[str, float]:
        """Return the largest magnitude that each client may have in a round.

        Parameters
        ----------
        magnitudes : mapping of str to float
            By the names of the clients that say something in this round, at least 0.
        """
        usual = {name: _upper_median(past) for name, past in self.past.items()}
        limits = {}
        for name in magnitudes:
            limit = self._reach.largest
            present = {other: level for other, level in magnitudes.items() if other != name and level > 0}
            others = {other: level for other, level in usual.items() if other != name} | present
            if len(present) >= _FEWEST_OTHERS:
                limit = min(limit, self._reach.others * _upper_median(present.values()))
            elif len(others) >= _FEWEST_OTHERS:
                limit = min(limit, self._reach.past * _upper_median(others.values()))
            if past := self.past.get(name):
                limit = min(limit, self._reach.past * _upper_median(past))
            limits[name] = max(limit, self._reach.least)
        return limits

    def remember(self, magnitudes: Mapping[str, float]) -> None:
        """Add the magnitudes of a round, after they were bounded, to the past."""
        for name, magnitude in magnitudes.items():
            if magnitude > 0:
                self.past[name] = [*self.past.get(name, []), magnitude][-REMEMBERED:]

    def snapshot(self) -> dict[str, Tensor]:
        """Return the past by name, float64."""
        return {name: torch.tensor(past, dtype=torch.float64) for name, past in self.past.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`snapshot` returned; without anything the past begins anew."""
        self.past = {name: past.tolist() for name, past in tensors.items()}


def bound_gradients(guard: Guard, feedback: Mapping[str, Feedback]) -> tuple[dict[str, Feedback], dict[str, int]]:
    """Scale down the gradients of samples that are beyond their client's bound.

    Parameters
    ----------
    guard : Guard
        What is known of the clients; it learns from this.
    feedback : mapping of str to Feedback
        By the names of the clients; finite.

    Returns
    -------
    dict of str to Feedback
        In the same order; the given ones where nothing was scaled.
    dict of str to int
        To how many samples of a client the bound applied, for those where it did.
    """
    samples = {name: root_mean_squares(each.gradients) for name, each in feedback.items()}
    limits = guard.limits({name: root_mean_square(each) for name, each in samples.items()})
    bounded, acted = dict(feedback), {}
    for name, magnitudes in samples.items():
        beyond = np.flatnonzero(magnitudes > limits[name])
        if len(beyond):
            gradients = feedback[name].gradients.clone()
            for sample in beyond.tolist():  # in float64, as the largest float32 times a small factor keeps its digits
                gradients[sample] = (gradients[sample].double() * (limits[name] / magnitudes[sample])).float()
            bounded[name] = replace(feedback[name], gradients=gradients)
            acted[name] = len(beyond)
    guard.remember({name: root_mean_square(np.minimum(each, limits[name])) for name, each in samples.items()})
    return bounded, acted


def bound_scores(guard: Guard, feedback: Mapping[str, Feedback]) -> tuple[dict[str, Feedback], dict[str, int]]:
    """Cut off the scores that are beyond their client's bound; as :func:`bound_gradients`."""
    scores = {name: each.losses.double().abs().numpy() for name, each in feedback.items()}
    limits = guard.limits({name: root_mean_square(each) for name, each in scores.items()})
    bounded, acted = dict(feedback), {}
    for name, magnitudes in scores.items():
        if beyond := int((magnitudes > limits[name]).sum()):
            losses = feedback[name].losses.clamp(-limits[name], limits[name])
            bounded[name] = replace(feedback[name], losses=losses)
            acted[name] = beyond
    guard.remember({name: root_mean_square(np.minimum(each, limits[name])) for name, each in scores.items()})
    return bounded, acted


def bound_weights(
    guard: Guard, weights: Mapping[str, Sequence[NDArray[np.float32]]]
) -> tuple[dict[str, list[NDArray[np.float32]]], dict[str, int]]:
    """Scale down weights, or changes of weights, the largest of which is beyond its client's bound.

    Parameters
    ----------
    guard : Guard
        What is known of the clients; it learns from this.
    weights : mapping of str to sequence of arrays
        By the names of the clients; finite.

    Returns
    -------
    dict of str to list of arrays
        In the same order; the given ones where nothing was scaled. All of a client's are scaled by one factor.
    dict of str to int
        1 for each client to which the bound applied.
    """
    largest = {name: max((_largest(array) for array in each), default=0.0) for name, each in weights.items()}
    limits = guard.limits(largest)
    beyond = {name for name, magnitude in largest.items() if magnitude > limits[name]}
    bounded = {
        name: [(array.astype(np.float64) * (limits[name] / largest[name])).astype(np.float32) for array in each]
        if name in beyond
        else [*each]
        for name, each in weights.items()
    }
    guard.remember({name: min(magnitude, limits[name]) for name, magnitude in largest.items()})
    return bounded, dict.fromkeys(beyond, 1)


def root_mean_squares(gradients: Tensor) -> NDArray[np.float64]:
    """Return that of each of some samples, in float64, where the square of any float32 is finite and not 0."""
    return np.array([float(sample.double().square().mean().sqrt()) for sample in gradients])


def root_mean_square(values: NDArray[np.float64]) -> float:
    """Return that of some numbers; 0 of none."""
    return float(np.sqrt(np.square(values).mean())) if len(values) else 0.0


def _largest(array: NDArray[np.float32]) -> float:
    return float(np.abs(array).max(initial=0.0))


def _upper_median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
