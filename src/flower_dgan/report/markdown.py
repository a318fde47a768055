"""The report of a run as markdown."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from flower_dgan.metrics import described, figure
from flower_dgan.metrics import shown as written
from flower_dgan.report.member_tables import members_section
from flower_dgan.report.table import table
from flower_dgan.report.text import in_fence, in_markdown
from flower_dgan.run.run_records import NoisyRelease, PrivateSteps, RunMetrics, Validation
from flower_dgan.tasks.results import MAIN_ROW, REFERENCE_ROW, TstrSummary, metrics_of, summarize

CURVES_NAME = "curves.png"
_COSTS = (
    "Bytes are those that a client sent and received in one whole training, mean over the clients: of DGAN all that "
    "crossed in this run, for the choice of the generator and Dist-FID too, of FedAvg the weights of the model that is "
    "tested, of FedGAN those of generator and discriminator."
)

_ONE_SEED = (
    "Each row is one training, so small differences between rows may be luck; `downstream.seeds=3` shows how much "
    "trainings differ."
)

_SCORES = (
    "Each is that of a model trained on images which the generator of that round drew, on real images which the client "
    "held out of its training; the test images have no say. The mean is weighted by the clients' images."
)


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
    shown = f"!{_link(samples[-1])}\n\n{len(samples)} in all; the first is {_link(samples[0])}." if samples else "none"
    sections = [
        (
            "# Report of the run",
            f"{len(metrics.rounds)} rounds, {images:,} synthetic images, {len(metrics.joins)} clients. The generator "
            f"did at most {stale} steps between drawing images and using the feedback on them.",
        ),
        ("## How it ended", _end_of(metrics)),
        ("## Alarms", _alarm_table(metrics)),
        ("## Train on synthetic, test on real", _tstr_table(metrics)),
        ("## What each member gains", members_section([metrics.patients], with_figure=True)),
        ("## Choice of the generator", _selection_table(metrics)),
        ("## Dist-FID", _distance_table(metrics)),
        ("## Losses", curves),
        ("## Samples", shown),
        ("## Clients", _client_table(metrics)),
        ("## Changes of membership", _change_table(metrics)),
        ("## Where the time of the rounds went", _time_table(metrics)),
        ("## Stages of the job", table(("stage", "seconds"), [(s.name, f"{s.seconds:.1f}") for s in metrics.stages])),
        ("## Devices", table(("process", "networks are on", "attempt"), _device_rows(metrics))),
        ("## Peak memory", table(("process", "MiB"), [(m.who, f"{m.peak_mib:,.0f}") for m in metrics.memory])),
        ("## What left each node", _record_table(metrics, "from node")),
        ("## What was sent to each node", _record_table(metrics, "to node")),
        ("## Rejected replies", _rejection_table(metrics)),
        ("## Bounds that applied", _bounds_table(metrics)),
        ("## Configuration", in_fence(config_text, "yaml")),
    ]
    if metrics.tested:
        sections.insert(4, ("## Worst and best test images", _test_pictures(metrics)))
    said = [_release_words(metrics.releases)] if metrics.releases else []
    if said := [*said, *([_step_words(metrics.private_steps)] if metrics.private_steps else [])]:
        sections.insert(2, ("## Differential privacy", "\n\n".join(said)))
    if audit is not None:
        sections.insert(2, ("## Audit", audit))
    return "\n\n".join(f"{title}\n\n{body}" for title, body in sections) + "\n"


def _release_words(releases: Sequence[NoisyRelease]) -> str:
    if releases[-1].honest_sites is not None:
        return _sum_words(releases)
    rows = {each.site: (each.site, f"{each.epsilon:g}", f"{each.delta:g}", f"{each.sigma:.4f}") for each in releases}
    return (
        f"{table(('client', 'epsilon', 'delta', 'noise'), list(rows.values()))}\n\n"
        "Each client sent one sum with Gaussian noise, in units of what a patient adds at most; epsilon is that of "
        "this release, by patient, add or remove one, by the analytic Gaussian mechanism. What patients spent before "
        "is in their owners' books. Public are the clients' names, that they took part, and all settings. Of a "
        "deployed node nobody but itself has to be honest; in a simulation the noise follows from the seed, and "
        "protects nothing."
    )


def _step_words(steps: Sequence[PrivateSteps]) -> str:
    rows = {
        each.site: (
            each.site,
            f"{each.epsilon:g}",
            "-" if each.spent is None else f"{each.spent:.4g}",
            f"{each.delta:g}",
            "-" if each.sigma is None else f"{each.sigma:.4g}",
            f"{each.share:g}",
            f"{each.done:,} of {each.planned:,}",
        )
        for each in steps
    }
    heads = ("client", "epsilon of all steps", "epsilon of those done", "delta", "noise", "share", "steps")
    return (
        f"{table(heads, list(rows.values()))}\n\n"
        "Each client's discriminator learned by steps of DP-SGD, to which each patient came with the probability "
        "`share` and one image; noise is in units of what a patient adds at most. Epsilon is by patient, add or remove "
        "one, by the RDP accountant of Opacus with Poisson sampling, a noisy number of patients included. Steps done "
        "are those of bundles whose answers were used; a client may have left some of them out, and its owner's book "
        "charges also for bundles whose answers were lost or drawn anew. Public are the clients' names, that they took "
        "part, and all settings. Of a deployed node nobody but itself has to be honest; in a simulation coins and "
        "noise follow from the seed, and protect nothing."
    )


def _sum_words(releases: Sequence[NoisyRelease]) -> str:
    honest = releases[-1].honest_sites
    rows = {
        each.site: (each.site, f"{each.epsilon:g}", f"{each.alone or 0:.3g}", f"{each.delta:g}", f"{each.sigma:.4f}")
        for each in releases
    }
    heads = ("client", f"epsilon if {honest} sites are honest", "epsilon if all others collude", "delta", "noise")
    return (
        f"{table(heads, list(rows.values()))}\n\n"
        "The server received one sum of all these clients, each of which added a share of Gaussian noise; noise is in "
        f"units of what a patient adds at most, of {honest} shares together. Epsilon is that of this release, by "
        "patient of one site, add or remove one, by the analytic Gaussian mechanism: the first figure if at least so "
        "many of the sites, the patient's own among them, added their noise and kept their keys from the server; the "
        "second if only the patient's own site did. What owners' books charge follows from whom they trust. Public are "
        "the clients' names, that they took part, and all settings. In a simulation noise and masks follow from the "
        "seed, and protect nothing."
    )


def _device_rows(metrics: RunMetrics) -> list[tuple[str, ...]]:
    return [(each.who, each.what, str(each.attempt)) for each in metrics.devices]


def _link(path: str) -> str:
    return f"[{in_markdown(path)}](<{quote(path, errors='surrogateescape')}>)"


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


def _tstr_table(metrics: RunMetrics) -> str:
    costs, names = _costs(metrics), metrics_of(metrics.tstr)
    if not names:
        return table((), ())

    def row(summary: TstrSummary) -> tuple[str, ...]:
        ratio = "-" if summary.ratio is None else figure(summary.ratio, ".3f")
        bytes_and_rounds = costs.get(summary.row, ("-", "-"))
        return (summary.row, *map(summary.shown, names), ratio, str(summary.seeds), *bytes_and_rounds)

    columns = [described(name) for name in names]
    titles = [column.title for column in columns]
    header = ("trained on", *titles, f"{titles[0]} / {REFERENCE_ROW}", "seeds", "bytes a client", "rounds")
    said = [result.remark for result in metrics.tstr] + [result.warning for result in metrics.tstr]
    notes = [in_markdown(each) for each in dict.fromkeys(filter(None, said))]
    notes += [f"Of {column.title} the lowest is best." for column in columns if column.best == "lowest"]
    summaries = summarize(metrics.tstr)
    if all(summary.seeds == 1 for summary in summaries):
        notes.append(_ONE_SEED)
    return "\n\n".join([table(header, map(row, summaries)), *notes, _COSTS])


def _test_pictures(metrics: RunMetrics) -> str:
    """Show what the first model of each row does worst and best on."""
    lines = [
        "At the left what is true, at the right what the first model of the row found: green where it is right, red "
        "where it missed something, blue where there is nothing."
    ]
    for row in metrics.tested:
        lines.append(f"**{in_markdown(row.row)}**")
        for each in row.pictures:
            lines.append(f"{each.rank}, {row.metric} {figure(each.figure, '.3f')}: !{_link(each.file)}")
    return "\n\n".join(lines)


def _selection_table(metrics: RunMetrics) -> str:
    """Show the scores on validation images over the rounds, and say which generator draws the synthetic set."""
    if (selection := metrics.selection) is None:
        return table((), ())
    sites = list(dict.fromkeys(site for each in metrics.validations for site in each.clients))
    names = {each.metric for each in metrics.validations}
    title = f"validation {' and '.join(described(name).title for name in sorted(names))}"

    def row(each: Validation) -> tuple[str, ...]:
        mean = "-" if each.score is None else written(each.metric, each.score)
        theirs = [written(each.metric, each.clients[site]) if site in each.clients else "-" for site in sites]
        marks = ("best", each.round == selection.best), ("drawn with", each.round == selection.taken)
        return (str(each.round), mean, *theirs, ", ".join(mark for mark, holds in marks if holds))

    missing = [(str(each.round), site, why) for each in metrics.validations for site, why in each.missing.items()]
    parts = [table(("round", title, *sites, ""), map(row, metrics.validations))]
    if missing:
        parts.append(table(("round", "without", "reason"), missing))
    if selection.best is None:
        parts.append("No node gave a score, so the generator of the last round was taken.")
    return "\n\n".join([*parts, _SCORES])


def _distance_table(metrics: RunMetrics) -> str:
    rows = [
        (
            each.site,
            f"{each.windows:,}",
            each.compared,
            f"{each.images:,}",
            f"{figure(each.distance, '.4g')}{' (few)' if each.means_little else ''}",
        )
        for each in metrics.distances
    ]
    names = " and ".join(dict.fromkeys(each.metric for each in metrics.distances))
    parts = [table(("real images of", "windows", "compared with", "images", names), rows)]
    if metrics.missing_moments:
        parts.append(table(("without", "reason"), [(each.site, each.reason) for each in metrics.missing_moments]))
    if any(each.means_little for each in metrics.distances):
        parts.append("Few: no more samples than features, with which a distance means little.")
    return "\n\n".join(parts)


def _costs(metrics: RunMetrics) -> dict[str, tuple[str, str]]:
    """Return bytes a client and rounds of the rows that had something cross the wire."""
    costs = {}
    if metrics.joins and metrics.rounds:
        sites = {join.site for join in metrics.joins}
        crossed = sum(each.bytes for each in metrics.records if each.site in sites)
        costs[MAIN_ROW] = (f"{crossed / len(sites):,.0f}", f"{len(metrics.rounds):,}")
    for name in {each.row for each in metrics.traffic}:
        clients = [each for each in metrics.traffic if each.row == name]
        crossed = sum(each.bytes_sent + each.bytes_received for each in clients)
        costs[name] = (f"{crossed / len(clients):,.0f}", f"{clients[0].rounds:,}")
    return costs


def _client_table(metrics: RunMetrics) -> str:
    rows = []
    for join in metrics.joins:
        replies = [each.clients[join.site] for each in metrics.rounds if join.site in each.clients]
        ends = (replies[0], replies[-1]) if replies else ()
        rows.append(
            (
                join.site,
                f"{join.images:,}",
                join.channels,
                f"{len(replies):,}",
                f"{sum(reply.rounds_late > 0 for reply in replies):,}",
                f"{sum(reply.weight == 0 for reply in replies):,}",
                f"{sum(each.repeats.get(join.site, 0) for each in metrics.rounds):,}",
                f"{sum(reply.bytes_sent for reply in replies):,}",
                f"{sum(reply.bytes_received for reply in replies):,}",
                " → ".join(figure(reply.discriminator_loss, ".3f") for reply in ends) or "-",
                " → ".join(figure(reply.generator_loss, ".3f") for reply in ends) or "-",
            )
        )
    losses = ("discriminator loss", "generator loss")
    header = (
        "site",
        "images",
        "channels",
        "messages",
        "late",
        "without weight",
        "sent again",
        "bytes sent",
        "bytes received",
        *losses,
    )
    explanation = (
        "Messages are replies that were used, some of them (late) in a later round than they were asked for; those "
        "that contradicted the other clients got no weight. Messages without a reply were sent again. Losses are those "
        "of the first and the last reply."
    )
    return f"{table(header, rows)}\n\n{explanation}"


def _change_table(metrics: RunMetrics) -> str:
    rows = [(each.who, each.what, str(each.round)) for each in metrics.changes]
    return table(("who", "what", "after round"), rows)


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


def _record_table(metrics: RunMetrics, direction: str) -> str:
    counts = [each for each in metrics.records if each.direction == direction]
    counts.sort(key=lambda each: (each.site, each.record, each.key))
    header = ("site", "record", "key", "type", "shape", "messages", "bytes")
    return table(
        header, [(c.site, c.record, c.key, c.dtype, c.shape, f"{c.messages:,}", f"{c.bytes:,}") for c in counts]
    )


def _rejection_table(metrics: RunMetrics) -> str:
    rounds: dict[tuple[str, str], list[int]] = {}
    for each in metrics.rounds:
        for site, reason in each.rejected.items():
            rounds.setdefault((site, reason), []).append(each.round)
    rows = [(site, reason, str(len(n)), str(n[0]), str(n[-1])) for (site, reason), n in sorted(rounds.items())]
    return table(("site", "reason", "replies", "first round", "last round"), rows)


def _bounds_table(metrics: RunMetrics) -> str:
    """Say whose replies were beyond what is usual, and whose number of images beyond the largest share."""
    rows = []
    for site in sorted({site for each in metrics.rounds for site in each.clients}):
        theirs = {each.round: each.clients[site] for each in metrics.rounds if site in each.clients}
        scaled = {number: client.bounded for number, client in theirs.items() if client.bounded}
        rows.append((site, "feedback or weights scaled down", scaled))
        capped = {number: 0 for number, client in theirs.items() if client.capped}
        rows.append((site, "weight lowered to algorithm.largest_share", capped))
    together = {each.round: each.bounded_together for each in metrics.rounds if each.bounded_together}
    rows.append(("all", "feedback scaled down after scores were merged", together))
    shown = [
        (site, bound, str(len(rounds)), f"{sum(rounds.values()):,}" if any(rounds.values()) else "-", *_ends(rounds))
        for site, bound, rounds in rows
        if rounds
    ]
    return table(("site", "bound", "rounds", "samples", "first round", "last round"), shown)


def _ends(rounds: Mapping[int, int]) -> tuple[str, str]:
    return str(min(rounds)), str(max(rounds))
