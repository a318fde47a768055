"""Alarms of clients and of the run: one that is missing, and what is not finite."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from flower_dgan.run.alarm_rules.finding import Finding, Known
from flower_dgan.run.member_records import AWAY, CAME, CAME_BACK, LEFT_OUT, MOVED, Change
from flower_dgan.run.outcome_records import End
from flower_dgan.run.round_records import ClientRound, Round


def finite(known: Known, record: Any) -> Iterator[Finding]:
    """Whether something is not finite: an answer that was refused for it, a figure, or what ended the run."""
    help_by = "a lower learning rate (algorithm.generator_learning_rate, algorithm.discriminator_learning_rate)"
    if isinstance(record, Round):
        for name, client in record.clients.items():
            yield Finding("not finite", name, record.round, 0.0, "its answer is", "", holds=not _is_finite(client))
        for name, why in record.rejected.items():
            yield Finding("not finite", name, record.round, math.nan, why, help_by, holds="not finite" in why)
    elif isinstance(record, End):
        said = record.why
        yield Finding("not finite", "", known.round, math.nan, said, help_by, holds="not finite" in said)


def _is_finite(client: ClientRound) -> bool:
    return math.isfinite(client.discriminator_loss) and math.isfinite(client.generator_loss)


_GONE: Mapping[str, bool] = {AWAY: True, LEFT_OUT: True, CAME: False, CAME_BACK: False, MOVED: False}


def missing(_: Known, record: Any) -> Iterator[Finding]:
    """Whether a client is not asked any more, or its node is away."""
    if isinstance(record, Change) and record.change in _GONE:
        yield Finding(
            "a client is missing",
            record.who,
            record.round,
            0.0,
            record.what,
            "start that client's SuperNode again, and look at its log",
            _GONE[record.change],
        )
    elif isinstance(record, Round):
        for name in record.clients:
            yield Finding("a client is missing", name, record.round, 0.0, "it answers again", "", holds=False)
