"""What a report says of the synthetic images: the table of results, the choice of the generator, distances."""

from flower_dgan.metrics import described, figure
from flower_dgan.metrics import shown as written
from flower_dgan.report.table import table
from flower_dgan.report.text import in_markdown, link
from flower_dgan.run.round_records import Validation
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.tasks.results import MAIN_ROW, REFERENCE_ROW, TstrSummary, metrics_of, summarize

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


def tstr_table(metrics: RunMetrics) -> str:
    """Show the scores of models trained on synthetic images and tested on real ones, with what they cost."""
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


def pictures_section(metrics: RunMetrics) -> str:
    """Show what the first model of each row does worst and best on."""
    lines = [
        "At the left what is true, at the right what the first model of the row found: green where it is right, red "
        "where it missed something, blue where there is nothing."
    ]
    for row in metrics.tested:
        lines.append(f"**{in_markdown(row.row)}**")
        for each in row.pictures:
            lines.append(f"{each.rank}, {row.metric} {figure(each.figure, '.3f')}: !{link(each.file)}")
    return "\n\n".join(lines)


def selection_table(metrics: RunMetrics) -> str:
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


def distance_table(metrics: RunMetrics) -> str:
    """Show how far the synthetic images are from the real ones of each site, and who is left out."""
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
