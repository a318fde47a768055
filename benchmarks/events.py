"""What it costs the server to write events, samples and kept generators: CPU seconds beside all of its own.

    python benchmarks/events.py "downstream=none exchange.rounds=20" 2

runs a training in this process with so many clients, whose own work is not counted as the server's, and prints the
seconds by what they were spent on, and their share. The share of the writer is to be 2 % at most.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flwr.app import Context, Message

from flower_dgan.client_app import app
from flower_dgan.federation import samples, strategy
from flower_dgan.federation.job import run_job
from flower_dgan.federation.kept_generators import KeptGenerators
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.event_log import EventLog

WRITER = (
    (EventLog, "_append"),
    (strategy, "answer_figures"),
    (KeptGenerators, "keep"),
    (samples, "_write_picture"),
    (samples, "look_of"),
)


def timed(spent: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that adds its CPU seconds, but for those of others that are timed inside it."""

    def counted(*arguments: Any, **named: Any) -> Any:
        start, before = time.thread_time(), spent.total()
        try:
            return function(*arguments, **named)
        finally:
            spent[name] += time.thread_time() - start - (spent.total() - before)

    return counted


def main() -> None:
    """Run a training, and print where its server's CPU seconds went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides")
    parser.add_argument("clients", type=int)
    asked = parser.parse_args()
    spent, clients = Counter[str](), Counter[str]()
    for owner, name in WRITER:
        setattr(owner, name, timed(spent, name, getattr(owner, name)))

    def client(message: Message, context: Context) -> Message:
        answered: Message = timed(clients, "clients", app)(message, context)
        return answered

    with tempfile.TemporaryDirectory() as scratch:
        config = resolve(asked.overrides)
        config = replace(config, output=replace(config.output, directory=f"{scratch}/run"))
        start = time.thread_time()
        run_job(InProcessGrid(client, simulated_contexts(asked.clients, asked.overrides)), config, 1)
        server = time.thread_time() - start - clients.total()
        found = read_metrics(Path(scratch) / "run")
        size = (Path(scratch) / "run" / "metrics.jsonl").stat().st_size
    for name, seconds in spent.most_common():
        print(f"{name}: {seconds:.2f} s")
    print(
        f"{len(found.rounds)} rounds: writer {spent.total():.2f} s of the server's {server:.2f} s "
        f"({spent.total() / server:.1%}); {size / 1e6:.2f} MB of events; alarms: {[a.in_words for a in found.alarms]}"
    )


if __name__ == "__main__":
    main()
