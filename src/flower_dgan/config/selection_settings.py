"""Settings of what is held out for validation, and of which generator is taken in the end."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from flower_dgan.config.ranges import Because

TakeName = Literal["last", "best"]

MOST_CHECKS = 20
"""Each check lets one rounded figure leave every node: this bounds what a training can learn of the images held out."""


@dataclass(frozen=True)
class SelectionConfig:
    """Validation by images that no network learns from, which are none of the test split either.

    Attributes
    ----------
    take : {"last", "best"}
        Which generator draws the synthetic dataset: that of the last round, or that of the check with the best score.
    checks : int
        How often in a training the generator is kept, to be scored after the last round: at rounds that divide the
        training evenly, the last among them. 0 for never.
    validation_fraction : float
        Share of each client's groups (patients, scenes) that is held out of its training images, in [0, 1); 0 for none.
    """

    take: TakeName
    checks: Annotated[int, Interval(ge=0, le=MOST_CHECKS), Because("each lets a figure leave every node; 0 is never")]
    validation_fraction: Annotated[
        float, Interval(ge=0, lt=1), Because("a share of the groups of training images; 0 holds out none")
    ]

    def rounds(self, rounds: int) -> tuple[int, ...]:
        """Return the rounds, from 1, at whose end the generator of a training of so many is kept; each once."""
        return tuple(dict.fromkeys(-(-rounds * check // self.checks) for check in range(1, self.checks + 1)))
