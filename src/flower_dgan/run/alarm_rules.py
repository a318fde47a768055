"""The rules of the alarms: each is a function of what is known of a training and of one event; thresholds are here."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from flower_dgan.run.member_records import AWAY, CAME, CAME_BACK, LEFT_OUT, MOVED, Change, Join
from flower_dgan.run.outcome_records import End
from flower_dgan.run.round_records import ClientRound, Round
from flower_dgan.run.status_records import Begin, Look, Samples

WON = 0.05
"""Part of the loss of an undecided discriminator below which one is taken to be sure of all that it sees.

With binary cross-entropy it then gives the right answer 97 % on average (exp of minus half of 0.05 times 1.386).
"""

WON_ANSWERS = 3
"""Answers of a client in a row with such a loss.

One tells little: the loss swings by a factor of ten from round to round while all is well, and in the default run on
the embedded digits it falls below a tenth of the undecided one now and then. Three are a quarter of a training of 12.
"""

KNOWS_NOTHING = 0.98
"""Part of the loss of an undecided discriminator from which one is taken to tell nothing apart."""

SAME_SCORE = 0.02
"""Standard deviation of its scores below which it gives all images the same one: of logits, where 1 is 73 % to 50."""

IDLE_ANSWERS = 5
"""Answers in a row of a discriminator that knows nothing, and rounds of any training in which no network has to yet."""

SATURATED = 0.95
"""Share of values at the ends from which images count as saturated: hardly any level between is left.

Not less, for real images have plain grounds: those of digits are black nearly everywhere.
"""

SAME = 1.0
"""Grey levels, root mean square, that two draws differ by at least."""

IGNORED = 1e-3
"""The same at any time: networks that have learned nothing yet differ by more where noise reaches them at all."""

BEGINNING = 0.25
"""Part of the rounds, five at least, in which the generator's images mean little yet.

Equal draws, for one: it learns first what all images have in common.
"""

OFF_BY = 2.0
"""Standard deviations of a site's images by which the mean of its synthetic ones may be off, beside 20 grey levels."""

CONTRAST = 4.0
"""Factor by which their standard deviations may differ, beyond 5 grey levels."""

SITES_APART = 40
"""Grey levels by which the means of sites have to differ for their synthetic images to differ by a tenth of that."""

LONGER = 10.0
"""Times the others' median from which a client's feedback is too long."""

AGAINST = -0.5
"""Cosine below which a client's mean gradient points against the others'."""

OTHERS = 3
"""Clients in a round from which one can be held against the others: of two either may be right."""

AGAINST_ANSWERS = 5
"""Answers in a row whose feedback is longer than, or against, that of the others."""

FOLLOWING = 0.5
"""Part of the others' median below which a client's feedback does not follow the label maps, in the mean of 5 answers.

On the embedded digits, four clients, one with the label maps of other images has 0.4 by the tenth round and less than
0 later; among healthy ones the least is two thirds (``benchmarks/alarms.py``).
"""

CLEAR = 0.1
"""How far the others' feedback has to follow the label maps for one that does not to mean anything."""


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
        if self.begin is None or _is_early(self.begin, record.round):
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


def discriminators(known: Known, record: Any) -> Iterator[Finding]:
    """Whether a client's discriminator is sure of all, or tells nothing apart; who did not answer stays as it was."""
    if not isinstance(record, Round) or known.begin is None or not (undecided := known.begin.undecided):
        return
    help_by = "a lower algorithm.discriminator_learning_rate, or more rounds of fewer exchange.exchanges"
    if known.begin.replay == "target":
        help_by += ", or algorithm.replay=gradient"
    help_by += f", or a larger algorithm.gradient_penalty ({known.begin.gradient_penalty:g} now)"
    for name, client in record.clients.items():
        loss = client.discriminator_loss
        said = f"discriminator loss {loss:.3g}, where one that cannot tell has {undecided:.3g}{_scores(client)}"
        holds = loss < WON * undecided
        yield Finding("D has won", name, record.round, loss, said, help_by, holds, WON_ANSWERS)
        same = client.score_spread is not None and client.score_spread < SAME_SCORE
        yield Finding(
            "D knows nothing",
            name,
            record.round,
            loss,
            said,
            "a larger algorithm.discriminator_learning_rate, or look whether that node's images and label maps belong "
            "together: flower-dgan data check",
            same and loss >= KNOWS_NOTHING * undecided and not _is_early(known.begin, record.round),
            IDLE_ANSWERS,
        )


def _is_early(begin: Begin, round_number: int) -> bool:
    return round_number <= max(IDLE_ANSWERS, BEGINNING * begin.rounds)


def _scores(client: ClientRound) -> str:
    if client.score is None:
        return ""
    return f", and scores synthetic images {client.score:.3g} (deviation {client.score_spread or 0:.2g})"


def collapse(known: Known, record: Any) -> Iterator[Finding]:
    """Whether two draws on one label map are the same; of images that are black or white all over that says nothing."""
    if not isinstance(record, Samples) or known.begin is None:
        return
    early = _is_early(known.begin, record.round)
    pictures = known.begin.target == "images"
    least = SAME if not early else IGNORED if pictures else 0.0
    for name, look in record.looks.items():
        if known.begin.noise_channels and look.draws_differ is not None:
            differ = look.draws_differ
            yield Finding(
                "draws collapse",
                name,
                record.round,
                differ,
                f"two draws on one label map differ by {differ:.1f} of 256 grey levels",
                "a larger algorithm.diversity, with algorithm.replay=moved or target; and no pixel losses, which "
                "want one image of a label map",
                differ < least and not (pictures and look.saturated >= SATURATED),
            )


def sites(known: Known, record: Any) -> Iterator[Finding]:
    """Whether sites that said they differ in brightness or colour have images that do not."""
    if not isinstance(record, Samples) or known.begin is None:
        return
    pairs = [(known.joins[name].mean, look.mean) for name, look in record.looks.items() if name in known.joins]
    if len(pairs) < 2 or not all(len(said) == len(found) > 0 for said, found in pairs):
        return
    apart = [[_spread(values) for values in zip(*each, strict=True)] for each in zip(*pairs, strict=True)]
    said, found = max(zip(*apart, strict=True), key=lambda pair: pair[0])
    yield Finding(
        "sites look the same",
        "",
        record.round,
        found,
        f"the means of their images are within {found:.0f} grey levels, where they said {said:.0f}",
        "model.site_condition=true with model.levels=site, or more rounds",
        said >= SITES_APART and found < said / 10 and not _is_early(known.begin, record.round),
    )


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def looks(known: Known, record: Any) -> Iterator[Finding]:
    """Whether images are at the ends of their range, or differ from what the sites said they have."""
    if not isinstance(record, Samples) or known.begin is None or known.begin.target != "images":
        return  # label maps as images are black and white
    step = "target_step" if known.begin.replay != "gradient" else "generator_learning_rate"
    for name, look in record.looks.items():
        share = look.saturated
        yield Finding(
            "images saturate",
            name,
            record.round,
            share,
            f"{share:.1%} of the values of its sample images are at an end of their range",
            f"a lower algorithm.{step}; look at samples/, for a site's real images may be black and white",
            share >= SATURATED,
        )
        join = known.joins.get(name)
        if join is not None and join.mean and len(join.mean) == len(look.mean):
            off, said = _off(join, look)
            yield Finding(
                "colours are not the site's",
                name,
                record.round,
                off,
                said,
                f"a lower algorithm.{step}, more rounds, or model.site_condition=true with model.levels=site",
                off > 1 and not _is_early(known.begin, record.round),
            )


def _off(join: Join, look: Look) -> tuple[float, str]:
    """Return by how much of what is allowed the worst channel is off, and that in words."""
    worst, said = 0.0, ""
    for channel, (mean, deviation) in enumerate(zip(join.mean, join.deviation, strict=True)):
        found, spread = look.mean[channel], look.deviation[channel]
        off = abs(found - mean) / (OFF_BY * deviation + 20)
        ratio = max((spread - 5) / deviation, deviation / (spread + 5)) / CONTRAST
        if max(off, ratio) >= worst:
            worst = max(off, ratio)
            said = (
                f"channel {channel} has mean {found:.0f} and deviation {spread:.0f}, where the site said {mean} and "
                f"{deviation} grey levels"
            )
    return worst, said


def feedback(_: Known, record: Any) -> Iterator[Finding]:
    """Whether a client's feedback is nothing, much longer than the others', or points against theirs."""
    if not isinstance(record, Round):
        return
    lengths = {name: each.feedback_length for name, each in record.clients.items() if each.feedback_length is not None}
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
                length > LONGER * usual > 0,
                AGAINST_ANSWERS,
            )
    yield from _directions(record)


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
        usual = median(each for other, each in means.items() if other != name)
        yield Finding(
            "images and label maps do not match",
            name,
            record.round,
            mean,
            f"its feedback follows the label maps by {mean:.2f}, and that of the others by {usual:.2f} in the median",
            "look at that node whether each image has its own label map: flower-dgan data check",
            usual >= CLEAR and mean < FOLLOWING * usual,
        )


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


RULES: tuple[Rule, ...] = (discriminators, collapse, sites, looks, feedback, label_maps, finite, missing)
