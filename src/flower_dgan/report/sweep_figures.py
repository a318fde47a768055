"""The figures of a sweep: the main metric against what was swept, and the samples of its runs side by side."""

from collections.abc import Sequence
from textwrap import fill
from typing import NamedTuple

from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flower_dgan.metrics import described
from flower_dgan.report.sweep_runs import Sweep, SweptRun, mean_and_spread, number
from flower_dgan.report.text import in_figure
from flower_dgan.tasks.results import MAIN_ROW, REFERENCE_ROW

_DECADES = 30.0
_COLUMNS = 6
_LINE = 24
_TICKS = 8


class _Point(NamedTuple):
    x: str
    mean: float
    spread: float


def main_figure(sweep: Sweep) -> Figure | None:
    """Draw the main metric of row DGAN against the swept number with most values, a line for each other setting.

    The axis is logarithmic where its values span decades. Where no number was swept the values are side by side. None
    without such a row, or a metric that all runs have.
    """
    metric = sweep.main_metric
    if metric is None or MAIN_ROW not in sweep.common_rows():
        return None
    numeric = [axis for axis in sweep.axes if all((number(value) is not None) for value in sweep.values(axis))]
    along = max(numeric or sweep.axes, key=lambda axis: len(sweep.values(axis)), default=None)
    lines = _lines(sweep, metric, along)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    if along in numeric:
        _draw_lines(axes, lines)
        xs = [float(value) for value in sweep.values(along)]
        if min(xs) > 0 and max(xs) / min(xs) >= _DECADES:
            axes.set_xscale("log")
        if len(xs) <= _TICKS:
            axes.set_xticks(xs, sweep.values(along))
            axes.minorticks_off()
        axes.margins(x=0.05)
    else:
        _draw_points(axes, lines, sweep.values(along) if along else [""])
    reference = mean_and_spread(run.measured(metric, REFERENCE_ROW) for run in sweep.finished)
    if reference is not None:
        axes.axhline(reference[0], color="grey", linestyle="--", label=f"{REFERENCE_ROW}, mean of all")
    axes.set(xlabel=in_figure(along or ""), ylabel=in_figure(f"{described(metric).title} of {MAIN_ROW}"))
    axes.grid(alpha=0.3, axis="both" if along in numeric else "y")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(title="\n".join(in_figure(axis) for axis in sweep.axes if axis != along) or None)
    return figure


def samples_figure(sweep: Sweep) -> Figure | None:
    """Put the last sample grids of the runs side by side, of the first seed of each setting; None without any."""
    shown = [(values, runs[0]) for values, runs in sweep.groups() if _last_sample(runs[0])]
    if not shown:
        return None
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    pictures = [image.imread(_last_sample(run)) for _, run in shown]
    height, width = pictures[0].shape[:2]
    figure = Figure(figsize=(2.2 * columns, rows * (2.2 * height / width + 0.6) + 0.2), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel in panels:
        panel.set_axis_off()
    for panel, (values, _), picture in zip(panels, shown, pictures, strict=False):
        panel.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        given = zip(sweep.axes, values, strict=True)
        panel.set_title("\n".join(_wrapped(f"{axis.rpartition('.')[2]}={value}") for axis, value in given), fontsize=8)
    figure.supxlabel("label map, two draws and, of the digits, the real image", fontsize=8)
    return figure


def _last_sample(run: SweptRun) -> str:
    return str(max((run.directory / "samples").glob("*.png"), default=""))


def _lines(sweep: Sweep, metric: str, along: str | None) -> dict[str, list[_Point]]:
    """Return the points of each line by its label: the values of the axes other than ``along``."""
    lines: dict[str, list[_Point]] = {}
    for values, runs in sweep.groups():
        found = mean_and_spread(run.measured(metric, MAIN_ROW) for run in runs)
        assert found is not None
        given = dict(zip(sweep.axes, values, strict=True))
        x = given.pop(along) if along else ""
        lines.setdefault("\n".join(map(in_figure, given.values())), []).append(_Point(x, found[0], found[1] or 0.0))
    return lines


def _draw_lines(axes: Axes, lines: dict[str, list[_Point]]) -> None:
    for label, points in lines.items():
        points = sorted(points, key=lambda point: float(point.x))
        xs = [float(point.x) for point in points]
        (line,) = axes.plot(xs, [point.mean for point in points], marker="o", label=label or MAIN_ROW)
        low, high = ([point.mean + sign * point.spread for point in points] for sign in (-1, 1))
        axes.fill_between(xs, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _draw_points(axes: Axes, lines: dict[str, list[_Point]], xs: Sequence[str]) -> None:
    """Draw means with their spreads side by side; no bars, as the axis does not begin at 0."""
    step = 0.6 / len(lines)
    for index, (label, points) in enumerate(lines.items()):
        places = [xs.index(point.x) + (index - (len(lines) - 1) / 2) * step for point in points]
        means, spreads = [point.mean for point in points], [point.spread for point in points]
        axes.errorbar(places, means, spreads, fmt="o", capsize=3, label=label or MAIN_ROW)
    axes.set_xlim(-0.5, len(xs) - 0.5)
    axes.set_xticks(range(len(xs)), [_wrapped(x) for x in xs])


def _wrapped(value: str) -> str:
    """Break a long value into lines, a list before it and between its parts."""
    return fill(in_figure(value).replace("],[", "], [").replace("=[", "= ["), _LINE)
