"""What each message of an algorithm carries: record, key, direction, type, shape and bytes, counted in a real training.

    python benchmarks/messages.py "algorithm=tdgan-small exchange.rounds=2"

trains two clients on the digits (labels 0-4 and 5-9) through the real strategy and ClientApp in one process, and prints
what crossed between server and first client as Markdown, as the pages of ``docs/algorithms/`` have it. Label maps
that the server knows already are not sent again: with ``XDG_CACHE_HOME=<new folder>`` it knows none.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from flower_dgan.client_app import app
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.crossing_records import RecordCount

CLIENTS = 2
DISCRIMINATOR = "discriminator"


def main(
    overrides: Annotated[str, typer.Argument(help="Overrides of the training.")],
) -> None:
    """Print the records of a short training."""
    with tempfile.TemporaryDirectory() as scratch:
        given = (
            f"downstream=none output.synthetic_images=2 exchange.rounds=2 {overrides} "
            f"output.directory='{Path(scratch) / 'run'}'"
        )
        run_job(InProcessGrid(app, simulated_contexts(CLIENTS, given)), resolve(given), CLIENTS)
        records = read_metrics(Path(scratch) / "run").records
    rows: dict[tuple[str, str, str], list[RecordCount]] = {}
    for each in records:
        if each.site == records[0].site:
            alone = each.shape and each.record != DISCRIMINATOR
            rows.setdefault((each.direction, each.record, each.key if alone else ""), []).append(each)
    print("| direction | record | key | type and shape | messages | bytes a message |\n|---|---|---|---|---|---|")
    for (direction, record, key), counts in rows.items():
        others = "parameters" if record == DISCRIMINATOR else "settings or measurements"
        named = f"`{key}`" if key else f"{len(counts)} {others}"
        shape = f"{counts[0].dtype} {counts[0].shape}" if key else ""
        size = sum(count.bytes / count.messages for count in counts)
        print(f"| {direction} | `{record}` | {named} | {shape} | {counts[0].messages} | {size:,.0f} |")


if __name__ == "__main__":
    typer.run(main)
