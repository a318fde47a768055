"""A sweep that is killed half-way and given again: what share of its time is not work.

    python benchmarks/sweep.py --output sweep.json

Two algorithms, three skews of the digits among four clients and two seeds make twelve runs. When a third of them have
finished the sweep is killed with SIGKILL, amid others, and the same command is given again. ``wasted`` is the share of
the workers' wall-clock time, of both starts, in which no stage of a run was at work: imports, checks, forks, opening
data, reports, waiting for the last run, and, for the first start, what the runs had under way since their checkpoints.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.report.sweep_runs import read_sweep

AXES = (
    "algorithm=dgan,uagan",
    "partition=dirichlet",
    "partition.alpha=0.1,1,10",
    "sweep.clients=4",
    "seed=0,1",
)
SHORT = "exchange.rounds=30 downstream.steps=60 downstream.rows=[Real-All,DGAN] output.synthetic_images=200"


def stage_seconds(directory: Path) -> float:
    """Return the seconds of all stages that runs of a sweep have finished."""
    files = directory.glob("*/metrics.jsonl")
    return sum(stage.seconds for file in files for stage in read_metrics(file.parent).stages)


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the figures.")],
    directory: Annotated[Path | None, typer.Option(help="Sweep directory, to be kept.")] = None,
    overrides: Annotated[str, typer.Option(help="Overrides of all runs.")] = SHORT,
    kill_after: Annotated[int, typer.Option(help="Finished runs before the sweep is killed; 0: it is not.")] = 4,
) -> None:
    """Run a sweep, kill it, go on, and write down what it cost."""
    with tempfile.TemporaryDirectory() as scratch:
        sweep = (directory or Path(scratch) / "sweep").resolve()
        command = [sys.executable, "-m", "flower_dgan.sweep", "-m", *AXES, *overrides.split()]
        command.append(f"hydra.sweep.dir='{sweep}'")
        starts, codes = [], []
        for kill in (True, False) if kill_after else (False,):
            begin = time.monotonic()
            process = subprocess.Popen(command)
            while process.poll() is None:
                if kill and len(list(sweep.glob("*/job.json"))) >= kill_after:
                    os.kill(process.pid, signal.SIGKILL)
                    kill = False
                time.sleep(0.2)
            starts.append(time.monotonic() - begin)
            codes.append(process.returncode)
        found = read_sweep(sweep)
        workers = len(os.sched_getaffinity(0))
        work = stage_seconds(sweep)
        result = {
            "runs": len(found.runs),
            "finished": len(found.finished),
            "exit_codes": codes,
            "workers": workers,
            "seconds_by_start": starts,
            "stage_seconds": work,
            "wasted": 1 - work / (workers * sum(starts)),
        }
        output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(result))


if __name__ == "__main__":
    typer.run(main)
