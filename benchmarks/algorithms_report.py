"""Table and loss curves of ``algorithms.py``, from its results alone."""

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from common import spread

Lines = list[dict[str, Any]]

POOLED = "pooled"
_POINTS = 100


def write_reports(lines: Lines, output: Path, head: str) -> None:
    """Write ``table.md`` and, where a run has a loss of its generator, ``losses.png``."""
    (output / "table.md").write_text(f"{head}\n\n{table(lines)}\n", encoding="utf-8")
    if any(line["generator_loss"] for line in lines):
        figure(lines).savefig(output / "losses.png", dpi=100)


def split_name(choice: str) -> tuple[str, str]:
    """Return what a choice is called in table and figure, and its overrides: ``name: overrides``."""
    name, found, overrides = choice.partition(": ")
    return (name.strip(), overrides) if found else (choice, choice)


def table(lines: Lines) -> str:
    """Return Markdown: a row a choice, with means and spreads over the seeds."""
    rows = [
        "| choice | clients | seeds | classes covered | smallest share | Fréchet / floor | MB a client | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (choice, groups), ours in _by_choice(lines).items():
        cells = [
            f"{split_name(choice)[0]}{' (pooled data)' if groups == POOLED else ''}",
            str(ours[0]["clients"]),
            str(len(ours)),
            ", ".join(str(line["classes"]) for line in ours),
            spread([min(line["shares"][label] for label in line["held"]) for line in ours], 3),
            spread([line["frechet"] / line["frechet_floor"] for line in ours], 1),
            f"{fmean(line['bytes_a_client'] for line in ours) / 1e6:.1f}",
            f"{fmean(line['seconds'] for line in ours):.0f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def figure(lines: Lines) -> Figure:
    """Return the generator's loss over the share of the training that is done, a line a choice, mean over the seeds.

    Each of the 100 points is the mean of its share of the rounds.
    """
    drawn = Figure(figsize=(9, 4.5), layout="constrained")
    axes = drawn.subplots()
    for (choice, groups), ours in _by_choice([line for line in lines if line["generator_loss"]]).items():
        parts = [np.array_split(line["generator_loss"], min(_POINTS, len(line["generator_loss"]))) for line in ours]
        curve = np.mean([[part.mean() for part in each] for each in parts], axis=0)
        clients = f"{ours[0]['clients']} clients" if groups != POOLED else "pooled data"
        axes.plot(np.linspace(0, 1, len(curve)), curve, label=f"{split_name(choice)[0]}, {clients}")
    axes.set(xlabel="share of the training", ylabel="generator's loss")
    axes.grid(alpha=0.3)
    drawn.legend(loc="outside right upper")
    return drawn


def _by_choice(lines: Lines) -> dict[tuple[str, str], Lines]:
    found: dict[tuple[str, str], Lines] = {}
    for line in lines:
        found.setdefault((line["choice"], line["groups"]), []).append(line)
    return found
