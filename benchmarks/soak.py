"""Many clients and many rounds in simulation: whether memory grows, and whether anything is left behind.

    python benchmarks/soak.py --output soak.json

runs 64 simulated clients for 500 rounds through ``flwr run``, on small networks, and looks at every process that Flower
started: resident memory and open descriptors over time. The slope is that of a line through the second half.
"""

import json
import os
import platform
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from common import family
from flower_dgan.errors import DganError
from flower_dgan.report.run_metrics import read_metrics
from local_flower import local_flower, write_app

KINDS = {"flwr-simulation": "server", "ClientAppActor": "clients", "flower-superlink": "SuperLink"}

_PATIENCE = 10.0  # what was killed needs a moment to be gone


def look(home: str) -> dict[str, dict[str, float]]:
    """Return MiB and open descriptors of each kind of process."""
    found: dict[str, dict[str, float]] = {}
    for pid, (_, command) in family(home).items():
        kind = next((name for part, name in KINDS.items() if part in command), None)
        if kind is None:
            continue
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            continue
        counts = found.setdefault(kind, {"mib": 0.0, "descriptors": 0.0})
        counts["mib"] += pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        counts["descriptors"] += descriptors
    return found


def slopes(samples: list[tuple[float, dict[str, dict[str, float]]]]) -> dict[str, dict[str, float]]:
    """Return, for the second half of the samples, growth an hour and mean of each count of each kind."""
    half = samples[len(samples) // 2 :]
    result: dict[str, dict[str, float]] = {}
    for kind in {kind for _, found in half for kind in found}:
        ours = [(seconds, found[kind]) for seconds, found in half if kind in found]
        for what in ("mib", "descriptors"):
            values = [found[what] for _, found in ours]
            slope = np.polyfit([seconds for seconds, _ in ours], values, 1)[0] if len(ours) > 1 else float("nan")
            result.setdefault(kind, {})[f"{what}_an_hour"] = float(slope) * 3600
            result[kind][what] = float(np.mean(values))
    return result


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result.")],
    clients: Annotated[int, typer.Option(min=1)] = 64,
    rounds: Annotated[int, typer.Option(min=2)] = 500,
    timeout: Annotated[float, typer.Option(help="Longest time of the run, in seconds.")] = 7200.0,
) -> None:
    """Run many clients for many rounds and report the growth of memory."""
    samples: list[tuple[float, dict[str, dict[str, float]]]] = []
    done = threading.Event()
    try:
        with tempfile.TemporaryDirectory() as scratch, local_flower(clients) as flower:
            home, directory, start = flower.environment["FLWR_HOME"], Path(scratch) / "run", time.monotonic()

            def watch() -> None:
                while not done.wait(5.0):
                    if (directory / "metrics.jsonl").is_file() and "round" in (directory / "metrics.jsonl").read_text():
                        samples.append((time.monotonic() - start, look(home)))

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                given = (
                    f"partition=iid downstream=none exchange=single exchange.rounds={rounds} exchange.batch_size=2 "
                    f"exchange.min_nodes={clients} exchange.image_format=uint8 exchange.feedback_format=float16 "
                    f"model.generator_width=4 model.discriminator_width=4 output.synthetic_images=2 "
                    f"output.directory='{directory}'"
                )
                flower.run(write_app(Path(scratch) / "app"), given, timeout=timeout)
            finally:
                done.set()
                watcher.join()
            counted = read_metrics(directory).rounds
        time.sleep(_PATIENCE)
        left = family(home)
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error
    found: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__},
        "clients": clients,
        "rounds": len(counted),
        "rejected": sum(len(each.rejected) for each in counted),
        "seconds_a_round": sum(sum(each.seconds.values()) for each in counted) / len(counted),
        "growth": slopes(samples),
        "left_behind": [command for _, command in left.values()],
    }
    print(json.dumps(found, indent=2))
    output.write_text(json.dumps(found | {"samples": samples}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
