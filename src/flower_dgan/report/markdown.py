"""The report of a run as markdown: its sections in their order."""

from collections.abc import Sequence

from flower_dgan.report.client_tables import bounds_table, change_table, client_table, record_table, rejection_table
from flower_dgan.report.member_tables import members_section
from flower_dgan.report.release_words import release_words, step_words
from flower_dgan.report.result_tables import distance_table, pictures_section, selection_table, tstr_table
from flower_dgan.report.table import table
from flower_dgan.report.text import in_fence, in_markdown, link
from flower_dgan.run.run_records import RunMetrics

CURVES_NAME = "curves.png"


def render_report(metrics: RunMetrics, config_text: str, samples: Sequence[str] = (), audit: str | None = None) -> str:
    """Write the report of a run.

    Parameters
    ----------
    metrics : RunMetrics
        The metrics of the run.
    config_text : str
        The composed configuration, shown as it is.
    samples : sequence of str
        Paths of sample images relative to the report, oldest first; the last one is shown.
    audit : str or None
        The section of an audit; None where there was none.

    Returns
    -------
    str
        Markdown that ends with a newline; it links to ``curves.png`` beside it if there was a round.
    """
    images = sum(each.images for each in metrics.rounds)
    stale = max((each.staleness for each in metrics.rounds), default=0)
    curves = f"![Losses of every client over the rounds]({CURVES_NAME})" if metrics.rounds else "none"
    shown = f"!{link(samples[-1])}\n\n{len(samples)} in all; the first is {link(samples[0])}." if samples else "none"
    sections = [
        (
            "# Report of the run",
            f"{len(metrics.rounds)} rounds, {images:,} synthetic images, {len(metrics.joins)} clients. The generator "
            f"did at most {stale} steps between drawing images and using the feedback on them.",
        ),
        ("## How it ended", _end_of(metrics)),
        ("## Alarms", _alarm_table(metrics)),
        ("## Train on synthetic, test on real", tstr_table(metrics)),
        ("## What each member gains", members_section([metrics.patients], with_figure=True)),
        ("## Choice of the generator", selection_table(metrics)),
        ("## Dist-FID", distance_table(metrics)),
        ("## Losses", curves),
        ("## Samples", shown),
        ("## Clients", client_table(metrics)),
        ("## Changes of membership", change_table(metrics)),
        ("## Where the time of the rounds went", _time_table(metrics)),
        ("## Stages of the job", table(("stage", "seconds"), [(s.name, f"{s.seconds:.1f}") for s in metrics.stages])),
        ("## Devices", table(("process", "networks are on", "attempt"), _device_rows(metrics))),
        ("## Peak memory", table(("process", "MiB"), [(m.who, f"{m.peak_mib:,.0f}") for m in metrics.memory])),
        ("## What left each node", record_table(metrics, "from node")),
        ("## What was sent to each node", record_table(metrics, "to node")),
        ("## Rejected replies", rejection_table(metrics)),
        ("## Bounds that applied", bounds_table(metrics)),
        ("## Configuration", in_fence(config_text, "yaml")),
    ]
    if metrics.tested:
        sections.insert(4, ("## Worst and best test images", pictures_section(metrics)))
    said = [release_words(metrics.releases)] if metrics.releases else []
    if said := [*said, *([step_words(metrics.private_steps)] if metrics.private_steps else [])]:
        sections.insert(2, ("## Differential privacy", "\n\n".join(said)))
    if audit is not None:
        sections.insert(2, ("## Audit", audit))
    return "\n\n".join(f"{title}\n\n{body}" for title, body in sections) + "\n"


def _device_rows(metrics: RunMetrics) -> list[tuple[str, ...]]:
    return [(each.who, each.what, str(each.attempt)) for each in metrics.devices]


def _end_of(metrics: RunMetrics) -> str:
    if metrics.end is None:
        return "The run has not ended, or was ended from outside, as by a signal: `resume` goes on with it."
    reason = f": {in_markdown(metrics.end.why)}" if metrics.end.why else "."
    return f"The run {in_markdown(metrics.end.how)}{reason}"


def _alarm_table(metrics: RunMetrics) -> str:
    over = {(each.name, each.site, each.since): str(each.round) for each in metrics.alarms if not each.begins}
    rows = [
        (
            each.name,
            each.site,
            str(each.since),
            over.get((each.name, each.site, each.since), "-"),
            each.said,
            each.help_by,
        )
        for each in metrics.alarms
        if each.begins
    ]
    return table(("alarm", "client", "since round", "over in round", "when it was raised", "what may help"), rows)


def _time_table(metrics: RunMetrics) -> str:
    totals: dict[str, float] = {}
    for each in metrics.rounds:
        for name, seconds in each.seconds.items():
            totals[name] = totals.get(name, 0.0) + seconds
    whole = sum(totals.values())
    rows = [
        (name, f"{seconds:.1f}", f"{100 * seconds / whole if whole else 0:.1f} %") for name, seconds in totals.items()
    ]
    return table(("spent on", "seconds", "share"), [*rows, ("all", f"{whole:.1f}", "100.0 %")] if rows else [])
