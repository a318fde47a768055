"""Alarms of feedback: a client whose feedback is held against that of the others."""

from collections.abc import Iterator, Mapping
from statistics import fmean, median
from typing import Any

from flower_dgan.run.alarm_rules.finding import AGAINST_ANSWERS, Finding, Known
from flower_dgan.run.round_records import Round

LONGER = 10.0
"""Times the others' median from which a client's feedback is too long, as it is and for what its scores say.

The gradient of a discriminator that has learned more is longer, as its scores are farther apart: of four healthy
clients with digits of all kinds one learns first, and its feedback is 13 times as long as the others' for five rounds.
Divided by the standard deviation of its scores it is 1.3 times as long as theirs, and never more than 3.2 times in any
of their rounds (``benchmarks/alarms.py``). Feedback in another unit is longer by both measures.
"""


AGAINST = -0.5
"""Cosine below which a client's mean gradient points against the others'."""


OTHERS = 3
"""Clients in a round from which one can be held against the others: of two either may be right."""


FOLLOWING = 0.5
"""Part of the others' feedback below which a client's does not follow the label maps, in the mean of 5 answers.

The others are what all but a quarter of them reach: of two or three the one that follows least.
"""


CLEAR = 0.3
"""How far the others' feedback has to follow the label maps for one that does not to mean anything.

It does so as long as the generator does not: what a discriminator asks of images that have their label maps' shapes
already goes one way in one round and another way in the next. On the embedded digits, four healthy clients, each had
0.31 and more until the fifteenth round, and two of them less than 0.1 by the twentieth (``benchmarks/alarms.py``).
"""


def feedback(_: Known, record: Any) -> Iterator[Finding]:
    """Whether a client's feedback is nothing, much longer than the others', or points against theirs."""
    if not isinstance(record, Round):
        return
    lengths = {name: each.feedback_length for name, each in record.clients.items() if each.feedback_length is not None}
    for_scores = {n: length / spread for n, length in lengths.items() if (spread := record.clients[n].score_spread)}
    for name, length in lengths.items():
        said = f"its feedback has the length {length:.3g}"
        yield Finding(
            "feedback is zero",
            name,
            record.round,
            length,
            said,
            "look at that node's log and data: its discriminator says nothing of any image",
            length == 0,
            AGAINST_ANSWERS,
        )
        if len(lengths) >= OTHERS:
            usual = median(each for other, each in lengths.items() if other != name)
            yield Finding(
                "feedback is long",
                name,
                record.round,
                length,
                f"{said}, and that of the others {usual:.3g} in the median",
                "algorithm.merge=agreement, which bounds it; or look at that node's images and settings",
                length > LONGER * usual > 0 and _is_long(name, for_scores),
                AGAINST_ANSWERS,
            )
    yield from _directions(record)


def _is_long(name: str, for_scores: Mapping[str, float]) -> bool:
    """Return whether feedback is long for what the scores say; where they say nothing, its length decides."""
    others = [each for other, each in for_scores.items() if other != name]
    return name not in for_scores or not others or for_scores[name] > LONGER * median(others)


def _directions(record: Round) -> Iterator[Finding]:
    of = {n: each.feedback_direction for n, each in record.clients.items() if each.feedback_direction is not None}
    for name, direction in of.items() if len(of) >= OTHERS else ():
        yield Finding(
            "feedback is against the others'",
            name,
            record.round,
            direction,
            f"the cosine of its mean gradient with theirs is {direction:.2f}",
            "look whether that node's images and label maps belong together (flower-dgan data check); "
            "algorithm.merge=agreement does without it",
            direction < AGAINST,
            AGAINST_ANSWERS,
        )


def label_maps(known: Known, record: Any) -> Iterator[Finding]:
    """Whether a client's feedback follows the label maps as little as if its images had those of others."""
    if not isinstance(record, Round):
        return
    there = {name: known.follows[name] for name in record.clients if name in known.follows}
    means = {name: fmean(last) for name, last in there.items() if len(last) == AGAINST_ANSWERS}
    for name, mean in means.items() if len(means) >= OTHERS else ():
        others = sorted(each for other, each in means.items() if other != name)
        if (usual := others[(len(others) - 1) // 4]) < CLEAR:
            continue  # nothing can be said, so what was said stays
        yield Finding(
            "images and label maps do not match",
            name,
            record.round,
            mean,
            f"its feedback follows the label maps by {mean:.2f}, and that of the others by {usual:.2f} at least",
            "look at that node whether each image has its own label map: flower-dgan data check",
            mean < FOLLOWING * usual,
        )
