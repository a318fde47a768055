"""The tables of a sweep: every training as CSV, means and spreads as Markdown."""

import csv
from collections.abc import Sequence
from io import StringIO
from statistics import fmean

from flower_dgan.metrics import described, shown
from flower_dgan.report.member_tables import members_section
from flower_dgan.report.sweep_runs import SEED, Sweep, SweptRun, mean_and_spread, value_of
from flower_dgan.report.table import table
from flower_dgan.report.text import in_code, in_markdown
from flower_dgan.tasks.results import MAIN_ROW, metrics_of

_MEASURED = ("generator_seconds", "bytes_up", "bytes_down", "run_directory")


def render_csv(sweep: Sweep) -> str:
    """Write one line for each training of each row of the TSTR table of each finished run.

    Columns are what was swept, then ``row``, ``training_seed`` (of the model that is tested), the metrics,
    ``generator_seconds`` (of row DGAN), ``bytes_up`` and ``bytes_down`` (that a client sent and received for the row,
    mean over clients) and ``run_directory``. A run without a table has one line.
    """
    axes = [*sweep.axes, *([SEED] if any(SEED in run.settings for run in sweep.runs) else [])]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = metrics_of(each for run in sweep.finished if run.metrics for each in run.metrics.tstr)
    writer.writerow([*axes, "row", "training_seed", *names, *_MEASURED])
    for run in sweep.finished:
        swept = [value_of(run, axis) for axis in axes]
        assert run.metrics is not None
        trainings = [
            (each.row, str(each.seed), *(str(each.values.get(name, "")) for name in names)) for each in run.metrics.tstr
        ]
        for row, *training in trainings or [(MAIN_ROW, "", *("" for _ in names))]:
            seconds = f"{run.generator_seconds():.3f}" if row == MAIN_ROW else ""
            crossed = [f"{each:.0f}" for each in run.bytes_a_client(row) or ()] or ["", ""]
            writer.writerow([*swept, row, *training, seconds, *crossed, run.directory])
    return text.getvalue()


def render_markdown(sweep: Sweep, figures: Sequence[str]) -> str:
    """Write the report of a sweep.

    Parameters
    ----------
    sweep : Sweep
        Its runs.
    figures : sequence of str
        Files beside the report that it shows.
    """
    finished = sweep.finished
    seeds = dict.fromkeys(run.settings[SEED] for run in finished if SEED in run.settings)
    given = in_markdown(", ".join(seeds)) or "one"
    swept = ", ".join(map(in_code, sweep.axes)) or "nothing but the seed"
    sections = [
        "# Sweep",
        f"{len(finished)} of {len(sweep.runs)} runs finished. Swept: {swept}. Seeds: {given}.",
    ]
    metric = sweep.main_metric
    if metric and len(sweep.axes) == 2 and MAIN_ROW in sweep.common_rows():
        sections += [f"## {described(metric).title} of {MAIN_ROW}", _two_axes(sweep, metric)]
    sections += ["## Means", _means(sweep, metric), _what_the_spread_is(sweep, metric)]
    sections += _members(sweep)
    sections += [f"![{name}]({name})" for name in figures]
    if len(finished) < len(sweep.runs):
        left = [(run.directory.name, run.error or "has not ended") for run in sweep.runs if run.metrics is None]
        sections += ["## Runs without a result", table(("run", "why"), left)]
    return "\n\n".join(sections) + "\n"


def _members(sweep: Sweep) -> list[str]:
    """Return what each member gains, for each choice of settings over its seeds; nothing where nobody looked."""
    sections = []
    for values, runs in sweep.groups():
        scores = [run.metrics.patients for run in runs if run.metrics and run.metrics.patients]
        if scores:
            chosen = ", ".join(f"{axis}={value}" for axis, value in zip(sweep.axes, values, strict=True))
            title = "## What each member gains" + (f" with {in_markdown(chosen)}" if chosen else "")
            sections += [title, members_section(scores)]
    return sections


def _two_axes(sweep: Sweep, metric: str) -> str:
    first, second = sweep.axes
    groups = dict(sweep.groups())
    columns = sweep.values(second)
    lines = [
        (value, *(_cell(groups.get((value, column), []), metric, MAIN_ROW) for column in columns))
        for value in sweep.values(first)
    ]
    return table((first, *(f"{second}={column}" for column in columns)), lines)


def _means(sweep: Sweep, metric: str | None) -> str:
    rows = sweep.common_rows() if metric else []
    title = described(metric).title if metric else ""
    lines = []
    for values, runs in sweep.groups():
        crossed = [sum(each) / 1e6 for run in runs if (each := run.bytes_a_client(MAIN_ROW)) is not None]
        lines.append(
            (
                *values,
                str(len(runs)),
                *(_cell(runs, metric or "", row) for row in rows),
                f"{fmean(run.generator_seconds() for run in runs):.1f}",
                f"{fmean(crossed):.2f}" if crossed else "-",
            )
        )
    header = (*sweep.axes, "runs", *(f"{title} {row}" for row in rows), "generator seconds", "MB a client")
    return table(header, lines)


def _cell(runs: Sequence[SweptRun], metric: str, row: str) -> str:
    found = mean_and_spread(run.measured(metric, row) for run in runs)
    return shown(metric, *found) if found else "-"


def _what_the_spread_is(sweep: Sweep, metric: str | None) -> str:
    several = any(len(runs) > 1 for _, runs in sweep.groups())
    over = "the runs, by the mean of each run's trainings" if several else "a run's trainings"
    lowest = metric is not None and described(metric).best == "lowest"
    return (
        f"Mean ± sample standard deviation over {over}. Generator seconds are wall-clock, with other runs at the same "
        "time; MB a client are what crossed in both directions. `sweep.csv` has every training, all rows and "
        f"all metrics.{' The lowest is best.' if lowest else ''}"
    )
