"""What a rule is given and what it makes: what a training said of itself so far, and a finding."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flower_dgan.run.member_records import Join
from flower_dgan.run.round_records import Round
from flower_dgan.run.status_records import Begin

IDLE_ANSWERS = 5
"""Answers in a row of a discriminator that knows nothing, and rounds of any training in which no network has to yet."""


BEGINNING = 0.25
"""Part of the rounds, five at least, in which the generator's images mean little yet.

Equal draws, for one: it learns first what all images have in common.
"""


AGAINST_ANSWERS = 5
"""Answers in a row whose feedback is held against that of the others."""


@dataclass
class Known:
    """What a training has said of itself so far: its last beginning, its clients, its last round and answers."""

    begin: Begin | None = None
    joins: dict[str, Join] = field(default_factory=dict)
    round: int = 0
    follows: dict[str, deque[float]] = field(default_factory=dict)

    def note(self, record: Round) -> None:
        """Note how far the feedback in the last five answers of each client follows the label maps.

        Early answers do not count: what a site has that others have not makes its discriminator learn at another pace.
        """
        if self.begin is None or is_early(self.begin, record.round):
            return
        for name, client in record.clients.items():
            if client.feedback_follows is not None and math.isfinite(client.feedback_follows):
                self.follows.setdefault(name, deque(maxlen=AGAINST_ANSWERS)).append(client.feedback_follows)


@dataclass(frozen=True)
class Finding:
    """What a rule found: whether it holds for a client, as for :class:`~flower_dgan.run.outcome_records.Alarm`."""

    name: str
    site: str
    round: int
    figure: float
    said: str
    help_by: str
    holds: bool
    wanted: int = 1


Rule = Callable[[Known, Any], Iterator[Finding]]
"""Of what is known and of a record (None for an unknown one), makes findings: none where it says nothing."""


def is_early(begin: Begin, round_number: int) -> bool:
    """Return whether the images of a round mean little yet."""
    return round_number <= max(IDLE_ANSWERS, BEGINNING * begin.rounds)
