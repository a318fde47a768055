"""Alarms of feedback: a client whose feedback is held against that of the others."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from flower_dgan.run.alarm_rules.finding import AGAINST_ANSWERS, OTHERS, Finding, Known
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


FOLLOWING = 0.48
"""Part of the others' feedback below which a client's never followed the label maps, in the mean of five answers.

The others are what all but a quarter of them reach: of two or three the one that follows least. On the embedded digits,
four clients of which one has the label maps of other images, it is 0.47, -0.13 and 0.04 with three seeds by the tenth
round, and 0.46 with a fourth by the eleventh; of four healthy clients the least is 0.499 with one of these seeds, for a
round, and 0.59 and more with the others (``benchmarks/alarms.py``).
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
    """Whether a client's feedback never followed the label maps more than if its images had those of others.

    One that did has images that belong to them: later it stops, earlier or later than that of the others.
    """
    if not isinstance(record, Round):
        return
    for name in record.clients:
        if name not in known.followed:
            continue
        most, usual = known.followed[name], known.others_followed[name]
        yield Finding(
            "images and label maps do not match",
            name,
            record.round,
            most,
            f"its feedback followed the label maps by {most:.2f} at most, and that of the others by {usual:.2f}",
            "look at that node whether each image has its own label map: flower-dgan data check",
            usual >= CLEAR and most < FOLLOWING * usual,
        )
