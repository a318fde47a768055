"""The tables of a sweep: every training as CSV, means and spreads as Markdown."""

import csv
from collections.abc import Sequence
from io import StringIO
from statistics import fmean

from flower_dgan.evaluation.tstr_summary import metrics_of, spread
from flower_dgan.report.markdown import table
from flower_dgan.report.sweep_runs import MAIN_ROW, SEED, Sweep, SweptRun, mean_and_spread, value_of
from flower_dgan.report.text import in_code, in_markdown

_MEASURED = ("generator_seconds", "bytes_up", "bytes_down", "run_directory")


def render_csv(sweep: Sweep) -> str:
    """Write one line for each segmentation training of each row of each finished run.

    Columns are what was swept, then ``row``, ``training_seed`` (of the segmentation), the metrics,
    ``generator_seconds`` (of row DGAN), ``bytes_up`` and ``bytes_down`` (that a client sent and received for the row,
    mean over clients) and ``run_directory``. A run without a segmentation table has one line.
    """
    axes = [*sweep.axes, *([SEED] if any(SEED in run.settings for run in sweep.runs) else [])]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    scores = metrics_of(each for run in sweep.finished if run.metrics for each in run.metrics.tstr)
    writer.writerow([*axes, "row", "training_seed", *scores, *_MEASURED])
    for run in sweep.finished:
        swept = [value_of(run, axis) for axis in axes]
        assert run.metrics is not None
        trainings = [
            (each.row, str(each.seed), *(str(each.scores.get(name, "")) for name in scores))
            for each in run.metrics.tstr
        ]
        for row, *training in trainings or [(MAIN_ROW, "", *("" for _ in scores))]:
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
    shown = in_markdown(", ".join(seeds)) or "one"
    swept = ", ".join(map(in_code, sweep.axes)) or "nothing but the seed"
    sections = [
        "# Sweep",
        f"{len(finished)} of {len(sweep.runs)} runs finished. Swept: {swept}. Seeds: {shown}.",
    ]
    if len(sweep.axes) == 2 and MAIN_ROW in sweep.common_rows():
        sections += [f"## Dice of {MAIN_ROW}", _two_axes(sweep)]
    sections += ["## Means", _means(sweep), _what_the_spread_is(sweep)]
    sections += [f"![{name}]({name})" for name in figures]
    if len(finished) < len(sweep.runs):
        left = [(run.directory.name, run.error or "has not ended") for run in sweep.runs if run.metrics is None]
        sections += ["## Runs without a result", table(("run", "why"), left)]
    return "\n\n".join(sections) + "\n"


def _two_axes(sweep: Sweep) -> str:
    first, second = sweep.axes
    groups = dict(sweep.groups())
    columns = sweep.values(second)
    lines = [
        (value, *(_dice(groups.get((value, column), []), MAIN_ROW) for column in columns))
        for value in sweep.values(first)
    ]
    return table((first, *(f"{second}={column}" for column in columns)), lines)


def _means(sweep: Sweep) -> str:
    rows = sweep.common_rows()
    lines = []
    for values, runs in sweep.groups():
        crossed = [sum(each) / 1e6 for run in runs if (each := run.bytes_a_client(MAIN_ROW)) is not None]
        lines.append(
            (
                *values,
                str(len(runs)),
                *(_dice(runs, row) for row in rows),
                f"{fmean(run.generator_seconds() for run in runs):.1f}",
                f"{fmean(crossed):.2f}" if crossed else "-",
            )
        )
    header = (*sweep.axes, "runs", *(f"Dice {row}" for row in rows), "generator seconds", "MB a client")
    return table(header, lines)


def _dice(runs: Sequence[SweptRun], row: str) -> str:
    found = mean_and_spread(run.dice(row) for run in runs)
    return spread(*found) if found else "-"


def _what_the_spread_is(sweep: Sweep) -> str:
    several = any(len(runs) > 1 for _, runs in sweep.groups())
    over = "the runs, by the mean of each run's segmentation trainings" if several else "a run's segmentation trainings"
    return (
        f"Mean ± sample standard deviation over {over}. Generator seconds are wall-clock, with other runs at the same "
        "time; MB a client are what crossed in both directions. `sweep.csv` has every training, and all rows."
    )
