"""Alarms of sample images: draws or sites that are alike, images at the ends of their range or of other colours."""

from collections.abc import Iterator, Sequence
from typing import Any

from flower_dgan.run.alarm_rules.finding import Finding, Known, is_early
from flower_dgan.run.member_records import Join
from flower_dgan.run.status_records import Look, Samples

SATURATED = 0.95
"""Share of values at the ends from which images count as saturated: hardly any level between is left.

Not less, for real images have plain grounds: those of digits are black nearly everywhere.
"""


SAME = 1.0
"""Grey levels, root mean square, that two draws differ by at least."""


IGNORED = 1e-3
"""The same at any time: networks that have learned nothing yet differ by more where noise reaches them at all."""


OFF_BY = 2.0
"""Standard deviations of a site's images by which the mean of its synthetic ones may be off, beside 20 grey levels."""


CONTRAST = 4.0
"""Factor by which their standard deviations may differ, beyond 5 grey levels."""


SITES_APART = 40
"""Grey levels by which the means of sites have to differ for their synthetic images to differ by a tenth of that."""


def collapse(known: Known, record: Any) -> Iterator[Finding]:
    """Whether two draws on one label map are the same; of images that are black or white all over that says nothing."""
    if not isinstance(record, Samples) or known.begin is None:
        return
    early = is_early(known.begin, record.round)
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
        said >= SITES_APART and found < said / 10 and not is_early(known.begin, record.round),
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
                off > 1 and not is_early(known.begin, record.round),
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
