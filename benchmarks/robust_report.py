"""Table of ``robust.py``, from its results alone."""

from statistics import mean, stdev
from typing import Any

Lines = list[dict[str, Any]]


def table(lines: Lines) -> str:
    """Return a table a data set as Markdown: a row a merge rule, a column an attack."""
    parts = ["# One bad client of four", "", _EXPLANATION]
    measured = [line for line in lines if line["kind"] == "tstr"]
    times = {line["data"]: line["seconds"] for line in lines if line["kind"] == "time"}
    for data in _values(measured, "data"):
        ours = [line for line in measured if line["data"] == data]
        attacks, rules = _values(ours, "attack"), _values(ours, "rule")
        parts += ["", f"## {data}", "", _row(["merge rule", *attacks, "server time"])]
        parts.append(_row(["---", *["---:"] * (len(attacks) + 1)]))
        for rule in rules:
            cells = [_cell([x for x in ours if (x["attack"], x["rule"]) == (attack, rule)]) for attack in attacks]
            seconds = times.get(data, {})
            time = f"{seconds[rule] / seconds['samples']:.2f}" if rule in seconds else "-"
            parts.append(_row([rule, *cells, time]))
    return "\n".join(parts) + "\n"


_EXPLANATION = (
    "Dice of a segmentation model trained on synthetic images and tested on real ones, mean ± standard deviation over "
    "the seeds; in brackets the weight that the bad client got, and the least that another one got. Server time: of an "
    "exchange, drawing and stepping, as a multiple of that with `samples`."
)


def _values(lines: Lines, key: str) -> list[str]:
    return list(dict.fromkeys(line[key] for line in lines))


def _cell(lines: Lines) -> str:
    if not lines:
        return "-"
    dice = [line["dice"] for line in lines]
    bad = mean(line["weights"][0] for line in lines)
    least = min(weight for line in lines for weight in line["weights"][1:])
    spread = f" ± {stdev(dice):.3f}" if len(dice) > 1 else ""
    return f"{mean(dice):.3f}{spread} ({bad:.2f}, {least:.2f})"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
