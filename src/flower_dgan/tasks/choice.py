"""Which of several generators is best, by what models that learned from their images are worth on validation pairs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """A generator of a training, and what each client says of it.

    Attributes
    ----------
    round : int
        At whose end it was kept.
    scores : Mapping[str, float]
        By the names of the clients that said something.
    """

    round: int
    scores: Mapping[str, float]

    def mean(self, weights: Mapping[str, float], names: Iterable[str] | None = None) -> float | None:
        """Return the weighted mean of the scores, of some clients or of all; None if none of them has said anything.

        ``weights`` are positive, one for each client; they need not sum to 1.
        """
        found = [name for name in self.scores if names is None or name in set(names)]
        whole = sum(weights[name] for name in found)
        return sum(weights[name] * self.scores[name] for name in found) / whole if found else None


def choose(checks: Iterable[Check], weights: Mapping[str, float], best: Literal["highest", "lowest"]) -> Check | None:
    """Return the best check, the later of equal ones; None if there is no score at all.

    Two checks are compared by the weighted mean over the clients that scored both: the images of one client are harder
    than those of another, so a client that is missing in one of them must not tip the balance. Where nobody scored both
    the later one is taken.

    Parameters
    ----------
    checks : iterable of Check
        In the order of their rounds.
    weights : mapping of str to float
        pi_k by client.
    best : {"highest", "lowest"}
        Which end of the scores is best.
    """
    chosen: Check | None = None
    for check in checks:
        if check.scores and (chosen is None or _is_as_good(check, chosen, weights, best)):
            chosen = check
    return chosen


def _is_as_good(later: Check, chosen: Check, weights: Mapping[str, float], best: Literal["highest", "lowest"]) -> bool:
    both = later.scores.keys() & chosen.scores.keys()
    ours, theirs = later.mean(weights, both), chosen.mean(weights, both)
    if ours is None or theirs is None:
        return True
    return ours >= theirs if best == "highest" else ours <= theirs
