"""What a rule is given and what it makes: what a training said of itself so far, and a finding."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import fmean
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

OTHERS = 3
"""Clients in a round from which one can be held against the others: of two either may be right."""


@dataclass
class Known:
    """What a training has said of itself so far.

    Attributes
    ----------
    begin : Begin or None
        Its last beginning.
    joins : dict of str to Join
        Its clients.
    round : int
        Its last round.
    followed, others_followed : dict of str to float
        By client, how far its feedback followed the label maps at most, in the mean of five answers in a row, and how
        far that of the others did at most since it has as many: of all others but a quarter. Without early answers, in
        which what a site has and others have not counts too much.
    """

    begin: Begin | None = None
    joins: dict[str, Join] = field(default_factory=dict)
    round: int = 0
    followed: dict[str, float] = field(default_factory=dict)
    others_followed: dict[str, float] = field(default_factory=dict)
    _last: dict[str, deque[float]] = field(default_factory=dict)

    def note(self, record: Round) -> None:
        """Note how far the feedback of each client follows the label maps."""
        if self.begin is None or is_early(self.begin, record.round):
            return
        for name, client in record.clients.items():
            if client.feedback_follows is None or not math.isfinite(client.feedback_follows):
                continue
            last = self._last.setdefault(name, deque(maxlen=AGAINST_ANSWERS))
            last.append(client.feedback_follows)
        now = {name: fmean(last) for name, last in self._last.items() if len(last) == AGAINST_ANSWERS}
        now = {name: mean for name, mean in now.items() if name in record.clients}
        for name, mean in now.items() if len(now) >= OTHERS else ():
            others = sorted(each for other, each in now.items() if other != name)
            self.followed[name] = max(mean, self.followed.get(name, -1.0))
            self.others_followed[name] = max(others[(len(others) - 1) // 4], self.others_followed.get(name, -1.0))


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
