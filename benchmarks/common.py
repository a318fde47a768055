"""What the benchmarks share: the number of clients, results as JSON lines, and the processes of a Flower."""

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from flower_dgan.config import Config
from flower_dgan.node.node import simulated_clients


def natural_clients(config: Config, otherwise: int) -> int:
    """Return how many clients the partition makes, ``otherwise`` where any number goes."""
    return simulated_clients(config) or otherwise


def spread(values: list[float], digits: int) -> str:
    """Return the mean and, of several, the standard deviation."""
    mean = f"{fmean(values):.{digits}f}"
    return f"{mean} ± {stdev(values):.{digits}f}" if len(values) > 1 else mean


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one result to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; none where there is no file.

    A last line without its end, as an interrupted benchmark leaves it, is cut off the file.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def family(flower_home: str) -> dict[int, tuple[int, str]]:
    """Return parent and command line, by id, of the processes that have this ``FLWR_HOME``."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"FLWR_HOME={flower_home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                    found[int(entry.name)] = int(parent), command
            except OSError:
                continue
    return found
