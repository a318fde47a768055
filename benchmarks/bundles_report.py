"""Table and plot of ``bundles.py``, from its results alone."""

from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

Lines = list[dict[str, Any]]


def write_reports(lines: Lines, output: Path) -> None:
    """Write ``bundles.md`` and ``bundles.png``; nothing where nothing was measured."""
    if not any(line["kind"] == "tstr" for line in lines):
        print("There is nothing to report yet.")
        return
    (output / "bundles.md").write_text(table(lines), encoding="utf-8")
    figure(lines).savefig(output / "bundles.png", dpi=100)
    print(f"{output / 'bundles.md'}\n{output / 'bundles.png'}")


def table(lines: Lines) -> str:
    """Return the table of every data set as Markdown: a row a configuration, a column a checkpoint."""
    parts = ["# Exchanges and generator steps a message", "", _EXPLANATION]
    for data in _data_sets(lines):
        real = [line["dice"] for line in _select(lines, "real-all", data)]
        measured = _select(lines, "tstr", data)
        marks = sorted({line["messages"] for line in measured})
        head = [*_HEAD, *(str(mark) for mark in marks), "seconds a message"]
        floor = [line["dice"] for line in _select(lines, "untrained", data)]
        bounds = f"Real-All: {_spread(real)}. Untrained generator: {_cell(floor, real)}."
        parts += ["", f"## {data}", "", bounds, "", _row(head), _row(["---:"] * len(head))]
        stopped = _still_stopped(_select(lines, "stopped", data), measured)
        for size, steps in sorted({_configuration(line) for line in [*measured, *stopped]}):
            ours = [line for line in measured if _configuration(line) == (size, steps)]
            cells = [_cell([line["dice"] for line in ours if line["messages"] == mark], real) for mark in marks]
            images = f"{ours[0]['images'] // ours[0]['messages']}" if ours else "-"
            seconds = f"{mean(line['seconds'] / line['messages'] for line in ours):.2f}" if ours else "-"
            parts.append(_row([str(size), str(steps), images, *cells, seconds]))
        parts += needed_messages(measured)
        parts += [
            f"\nS = {line['exchanges']}, {line['generator_steps']} steps, seed {line['seed']} was stopped after "
            f"{line['messages']} messages: the budget of {line['budget_seconds']:g} s was spent."
            for line in stopped
        ]
    return "\n".join(parts) + "\n"


def needed_messages(measured: Lines) -> list[str]:
    """Return, seed by seed, when each configuration first reaches 0.97 of the final Dice of S = 1."""
    parts = []
    for seed in sorted({line["seed"] for line in measured}):
        ours = sorted((line for line in measured if line["seed"] == seed), key=lambda line: line["messages"])
        single = [line["dice"] for line in ours if _configuration(line) == (1, 1)]
        if not single:
            continue
        bar = _SHARE * single[-1]
        first: dict[tuple[int, int], int] = {}
        for line in ours:
            if line["dice"] >= bar:
                first.setdefault(_configuration(line), line["messages"])
        reached = ", ".join(
            f"S = {size}, {steps} steps {messages}" for (size, steps), messages in sorted(first.items())
        )
        parts.append(f"\nMessages to {_SHARE} of the final Dice of S = 1 ({bar:.3f}), seed {seed}: {reached}.")
    return parts


def figure(lines: Lines) -> Figure:
    """Return the plot: a panel a data set, a colour a number of exchanges, a line style a number of generator steps."""
    data_sets = _data_sets(lines)
    result = Figure(figsize=(8 * len(data_sets), 4.5), layout="constrained")
    for axes, data in zip(result.subplots(1, len(data_sets), squeeze=False)[0], data_sets, strict=True):
        real = [line["dice"] for line in _select(lines, "real-all", data)]
        measured = _select(lines, "tstr", data)
        sizes = sorted({line["exchanges"] for line in measured})
        for size, steps in sorted({_configuration(line) for line in measured}):
            ours = [line for line in measured if _configuration(line) == (size, steps)]
            marks = sorted({line["messages"] for line in ours})
            shares = [mean(line["dice"] for line in ours if line["messages"] == mark) / mean(real) for mark in marks]
            rank = sorted({line["generator_steps"] for line in measured if line["exchanges"] == size}).index(steps)
            style = f"{_MARKERS[rank % 4]}{_STYLES[rank % 4]}"
            axes.plot(marks, shares, style, color=f"C{sizes.index(size) % 10}", label=f"S = {size}, {steps} steps")
        axes.axhline(1, color="black", linewidth=0.8, label="Real-All")
        if floor := [line["dice"] for line in _select(lines, "untrained", data)]:
            axes.axhline(
                mean(floor) / mean(real), color="grey", linewidth=0.8, linestyle="--", label="untrained generator"
            )
        axes.set(title=data, xlabel="messages a client", xscale="log", ylabel="Dice / Dice of Real-All", ylim=(0, None))
        axes.set_xticks(sorted({line["messages"] for line in measured}))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return result


_SHARE = 0.97
_HEAD = ("S", "generator steps", "images a message, all clients")
_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D")
_EXPLANATION = (
    "Dice of a segmentation model trained on synthetic images and tested on real ones, after so many messages a "
    "client; in brackets as share of Real-All, the same model trained on all real images. Mean ± standard deviation "
    "over the seeds. All in one process, without Flower; the seconds are those of the training alone."
)


def _data_sets(lines: Lines) -> list[str]:
    return list(dict.fromkeys(line["data"] for line in lines if line["kind"] == "tstr"))


def _select(lines: Lines, kind: str, data: str) -> Lines:
    return [line for line in lines if line["kind"] == kind and line["data"] == data]


def _configuration(line: dict[str, Any]) -> tuple[int, int]:
    return line["exchanges"], line["generator_steps"]


def _still_stopped(stopped: Lines, measured: Lines) -> Lines:
    """Return the last stop of every run that did not get further later, with a larger budget."""
    last = {(*_configuration(line), line["seed"]): line for line in stopped}
    reached = {
        run: max((m["messages"] for m in measured if (*_configuration(m), m["seed"]) == run), default=0) for run in last
    }
    return [line for run, line in last.items() if reached[run] <= line["messages"]]


def _cell(values: list[float], real: list[float]) -> str:
    return f"{_spread(values)} ({100 * mean(values) / mean(real):.0f} %)" if values else "-"


def _spread(values: list[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
