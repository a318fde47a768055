"""The gain of each member against the number of its real images, as a figure."""

from collections.abc import Sequence
from itertools import chain

from matplotlib.figure import Figure

from flower_dgan.metrics import described
from flower_dgan.report.paired_scores import WHOLE, PairedScores
from flower_dgan.report.text import in_figure
from flower_dgan.tasks.gains import Gain, gain_of
from flower_dgan.tasks.patient_scores import PLUS_DGAN, PatientScore


def gain_figure(runs: Sequence[Sequence[PatientScore]]) -> Figure | None:
    """Draw the gain of ``Real-k+DGAN`` over ``Real-k`` on the test split: a line a member, and their mean.

    Parameters
    ----------
    runs : sequence of sequence of PatientScore
        Of runs that differ in their seeds alone.

    Returns
    -------
    Figure or None
        The mean is at the numbers that were tried, over the members that have so many, with its interval where there
        is one; a member's line ends at all that it has. None where fewer images were not tried.
    """
    scores = PairedScores.of(runs)
    sizes = [size for size in scores.sizes() if size != WHOLE]
    if not sizes:
        return None
    metric = described(scores.metrics[0])
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()

    def gain(members: Sequence[str], real: int) -> Gain | None:
        pairs = chain.from_iterable(scores.pairs("all", m, PLUS_DGAN, scores.metrics[0], real) for m in members)
        return gain_of(pairs, metric.best)

    for member in scores.members:
        places = {size: size for size in sizes} | {WHOLE: scores.whole(member)}
        points = [(place, found.mean) for real, place in places.items() if (found := gain([member], real))]
        if points:
            axes.plot(*zip(*sorted(points), strict=True), marker=".", alpha=0.6, label=in_figure(member))
    means = {size: found for size in sizes if (found := gain(scores.members, size))}
    for size, found in means.items():
        ends = [[abs(bound - found.mean)] for bound in found.interval] if found.interval else None
        axes.errorbar(size, found.mean, ends, color="black", marker="o", capsize=4)
    if means:
        with_interval = any(found.interval for found in means.values())
        axes.containers[-1].set_label("mean, 95 % interval" if with_interval else "mean")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xscale="log", xlabel="real images of the member", ylabel=f"gain in {metric.title}")
    ticks = sorted({*sizes, *map(scores.whole, scores.members)} - {0})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    for text in axes.legend().get_texts():
        text.set_parse_math(False)
    return figure
