"""What each member gains, as tables of a report: by member, and against the number of its real images."""

from collections.abc import Sequence
from itertools import chain

from flower_dgan.metrics import described, shown
from flower_dgan.report.paired_scores import WHOLE, PairedScores
from flower_dgan.report.table import table
from flower_dgan.tasks.gains import FEWEST_PATIENTS, Gain, Verdict, gain_of
from flower_dgan.tasks.patient_scores import PLUS_DGAN, REAL, PatientScore, TestedOn

GAINS_NAME = "gains.png"
_TITLES: dict[TestedOn, str] = {
    "all": "Tested on the test split:",
    "own": "Tested on the member's own patients, each held out of everything in its fold, the GAN too:",
}
_NOTE = (
    "Figures are means over {units}, each by its mean over the seeds, so that they differ from those over all pixels; "
    "positive gains are better. ± is the sample standard deviation over seeds of the mean gain. The interval is that "
    "of the mean gain at 95 % confidence, by bootstrap over {units}; each member's for itself, so that of many one may "
    "be wrong. It is better, or worse, where the interval lies on one side of 0 and the mean gain of each of two seeds "
    "or more does, too: the interval tells of other {units}, not of other seeds. Below {fewest} {units} nothing is "
    "claimed: were there no gain, five would all be on one side in 6 % of cases, and six in 3 %."
)
_IMAGES_ALONE = (
    "The data do not say who is a patient, so that each image stands for itself: where several are of one patient, the "
    "intervals are too narrow."
)


def members_section(runs: Sequence[Sequence[PatientScore]], *, with_figure: bool = False) -> str:
    """Write the tables of what each member gains.

    Parameters
    ----------
    runs : sequence of sequence of PatientScore
        Of runs that differ in their seeds alone.
    with_figure : bool
        Whether the figure of the gain against the number of images stands beside the text, if there is one.

    Returns
    -------
    str
        Markdown without a final newline; "none" without scores.
    """
    scores = PairedScores.of(runs)
    parts = [part for tested_on in _TITLES for part in _by_member(scores, tested_on)]
    parts += _by_size(scores, with_figure=with_figure)
    if not parts:
        return "none"
    units = f"{scores.unit}s"
    parts.append(_NOTE.format(units=units, fewest=FEWEST_PATIENTS))
    return "\n\n".join([*parts, *([_IMAGES_ALONE] if scores.unit == "image" else [])])


def _by_member(scores: PairedScores, tested_on: TestedOn) -> list[str]:
    """Return title and table of one test; nothing where it was not made."""
    main, *others = scores.metrics or [""]
    lines = []
    for row in scores.rows:
        members = [name for name in scores.members if next(scores.pairs(tested_on, name, row, main), None)]
        groups = [([name], name, scores.real_images(tested_on, name)) for name in members]
        if len(members) > 1:
            groups.append((members, "all members", "-"))
        for those, name, real in groups:
            if gain := _gain(scores, tested_on, those, row, main):
                more = (_short(metric, _gain(scores, tested_on, those, row, metric)) for metric in others)
                lines.append((name, real, row, *_cells(scores, gain), *more))
    if not lines:
        return []
    titles = (f"gain in {described(metric).title}" for metric in others)
    return [_TITLES[tested_on], table(("member", "real images", "trained on", *_titles(scores), *titles), lines)]


def _by_size(scores: PairedScores, *, with_figure: bool) -> list[str]:
    """Return the gain against the number of real images; nothing where there is one number alone."""
    sizes, lines, shown_last = scores.sizes(), [], None
    if len(sizes) < 2:
        return []
    main = scores.metrics[0]
    for real in sizes:
        members = [name for name in scores.members if next(scores.pairs("all", name, PLUS_DGAN, main, real), None)]
        if gain := _gain(scores, "all", members, PLUS_DGAN, main, real):
            number = "all that it has" if real == WHOLE else f"{real:,}"
            lines.append((number, str(len(members)), *_cells(scores, gain)))
            shown_last = number if gain.verdict == "better" else shown_last
    until = "with none of these numbers" if shown_last is None else f"with {shown_last} at most"
    figure = [f"![Gain against the number of real images]({GAINS_NAME})"] if with_figure else []
    return [
        f"{PLUS_DGAN} against the number of a member's real images, mean of the members with so many, tested on the "
        "test split. The synthetic images are those of the whole federation, this member's other images included:",
        table(("real images", "members", *_titles(scores)), lines),
        f"A gain is shown {until}.",
        *figure,
    ]


def _gain(
    scores: PairedScores, tested_on: TestedOn, members: Sequence[str], row: str, metric: str, real: int = WHOLE
) -> Gain | None:
    pairs = chain.from_iterable(scores.pairs(tested_on, member, row, metric, real) for member in members)
    return gain_of(pairs, described(metric).best)


def _titles(scores: PairedScores) -> tuple[str, ...]:
    title = described(scores.metrics[0]).title
    return (f"{scores.unit}s", "seeds", f"{title} {REAL}", title, "gain", "95 % interval", "so it is")


def _cells(scores: PairedScores, gain: Gain) -> tuple[str, ...]:
    metric = scores.metrics[0]
    words: dict[Verdict, str] = {"open": "not shown", "too few": f"too few {scores.unit}s"}
    return (
        f"{gain.patients:,}",
        str(gain.trainings),
        shown(metric, gain.before),
        shown(metric, gain.after),
        _signed(metric, gain.mean)
        + ("" if gain.deviation is None else f" ± {gain.deviation:{described(metric).form}}"),
        _between(metric, gain),
        words.get(gain.verdict, gain.verdict),
    )


def _short(metric: str, gain: Gain | None) -> str:
    if gain is None:
        return "-"
    return f"{_signed(metric, gain.mean)} ({_between(metric, gain)})" if gain.interval else _signed(metric, gain.mean)


def _between(metric: str, gain: Gain) -> str:
    return " to ".join(_signed(metric, bound) for bound in gain.interval) if gain.interval else "-"


def _signed(metric: str, value: float) -> str:
    return f"{value:+{described(metric).form}}"
