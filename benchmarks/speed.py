"""Images a second through ``flwr run``, over the same training as a plain loop in one process.

    python benchmarks/speed.py --output speed.json

runs pairs in turn: the plain loop, with the threads of the configuration and with torch's own number; then a real
``flwr run`` in simulation on a SuperLink of its own. Networks, batches and seeds are the same. The first round of each
is warm-up and not counted. The ratio of a pair is Flower's images a second over those of the faster plain loop. A last
``flwr run`` has twice the rounds, to show that the peak memory of no process grows with them.

Flower's rounds are those of ``metrics.jsonl``, from the end of one to the end of the next: generator, discriminator of
the first client, waiting for the others, and the rest, which is Flower's.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer

from common import natural_clients
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import LocalFederation, open_federation
from flower_dgan.config import Config
from flower_dgan.errors import DganError
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve, to_yaml
from flower_dgan.run.round_records import Round
from flower_dgan.wiring import seeded, threads
from local_flower import local_flower, write_app


def images_per_second(rounds: Sequence[Round]) -> float:
    """Return the images a second of all rounds but the first."""
    return sum(each.images for each in rounds[1:]) / sum(sum(each.seconds.values()) for each in rounds[1:])


def ratio_summary(pairs: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return median, least and greatest ratio of Flower to the faster plain loop of the same pair."""
    ratios = [
        pair["flower"]["images_per_second"] / max(each["images_per_second"] for each in pair["bare"]) for pair in pairs
    ]
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios)}


def memory_growth(short: dict[str, float], long: dict[str, float]) -> dict[str, float]:
    """Return, for every process, its peak memory in the long run over that in the short one."""
    return {who: long[who] / short[who] for who in short}


def run_bare(config: Config, federation: LocalFederation, count: int) -> dict[str, Any]:
    """Train in this process with so many threads."""
    exchange, sessions = config.exchange, federation.sessions(config)
    ends: list[float] = []
    load = os.getloadavg()[0]
    with threads(count), seeded(config.seed, "speed"):
        train(
            algorithm_of(config),
            federation.state(config),
            sessions,
            in_flight=exchange.in_flight,
            after_round=lambda _: ends.append(time.monotonic()),
        )
    images = (exchange.rounds - 1) * len(sessions) * exchange.exchanges * exchange.batch_size
    return {"threads": count, "images_per_second": images / (ends[-1] - ends[0]), "load_before": load}


def run_flower(overrides: str, clients: int, cpus_per_client: int, timeout: float) -> dict[str, Any]:
    """Train through ``flwr run`` on a SuperLink of its own, which ends with it."""
    load = os.getloadavg()[0]
    begin = time.time()
    with tempfile.TemporaryDirectory() as scratch, local_flower(clients, cpus_per_node=cpus_per_client) as flower:
        directory = Path(scratch) / "run"
        app = write_app(Path(scratch) / "app")
        start = time.time()
        flower.run(app, f"{overrides} output.directory='{directory}'", timeout=timeout)
        end = time.time()
        metrics = read_metrics(directory)
        # The run directory begins with this file, and nothing changes it later.
        job = (directory / "config.yaml").stat().st_mtime
    stages = {stage.name: stage.seconds for stage in metrics.stages}
    rounds = {name: sum(each.seconds[name] for each in metrics.rounds) for name in metrics.rounds[0].seconds}
    return {
        "images_per_second": images_per_second(metrics.rounds),
        "startup_seconds": {"SuperLink": start - begin, "flwr run until the job": job - start, "join": stages["join"]},
        "rounds": len(metrics.rounds),
        "rejected": sum(len(each.rejected) for each in metrics.rounds),
        "round_seconds": {name: seconds / len(metrics.rounds) for name, seconds in rounds.items()},
        "first_round_seconds": sum(metrics.rounds[0].seconds.values()),
        "training_seconds": {
            "rounds": sum(rounds.values()),
            "between rounds": stages["training"] - sum(rounds.values()),
        },
        "after_training_seconds": end - job - stages["join"] - stages["training"],
        "peak_memory_mib": {peak.who: peak.peak_mib for peak in metrics.memory},
        "load_before": load,
    }


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result; written anew after each pair.")],
    clients: Annotated[int, typer.Option(min=1, help="Clients, where the partition takes any number.")] = 2,
    cpus_per_client: Annotated[int, typer.Option(min=1, help="CPUs that a simulated client reserves.")] = 1,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of each run.")] = 20,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of plain loop and flwr run.")] = 3,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
    memory: Annotated[bool, typer.Option(help="Also a run of twice the rounds, for its memory.")] = True,
    timeout: Annotated[float, typer.Option(help="Longest time of one flwr run, in seconds.")] = 3600.0,
) -> None:
    """Measure images a second through Flower, over a plain loop."""
    own_threads = torch.get_num_threads()
    given = f"{overrides} downstream=none".strip()
    try:
        config = resolve(f"{given} exchange.rounds={rounds}")
        count = natural_clients(config, clients)
        federation = open_federation(config, count)
        # Flower's nodes are not there at once; without this the run would go with the first one.
        ready = f"exchange.min_nodes={count}"
        result: dict[str, Any] = {
            "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__},
            "settings": {"clients": count, "cpus_per_client": cpus_per_client, "configuration": to_yaml(config)},
            "pairs": [],
        }
        for _ in range(pairs):
            bare = [run_bare(config, federation, n) for n in sorted({config.threads or own_threads, own_threads})]
            flower = run_flower(f"{given} exchange.rounds={rounds} {ready}", count, cpus_per_client, timeout)
            result["pairs"].append({"bare": bare, "flower": flower})
            result["ratio"] = ratio_summary(result["pairs"])
            _write(output, result)
            print(pair_line(bare, flower), flush=True)
        if memory:
            short = result["pairs"][-1]["flower"]["peak_memory_mib"]
            twice = run_flower(f"{given} exchange.rounds={2 * rounds} {ready}", count, cpus_per_client, timeout)
            growth = memory_growth(short, twice["peak_memory_mib"])
            result["memory"] = {"rounds": [rounds, 2 * rounds], "long_run": twice, "growth": growth}
            _write(output, result)
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error
    print(summary(result))


def pair_line(bare: Sequence[dict[str, Any]], flower: dict[str, Any]) -> str:
    """Return one pair as text."""
    loops = ", ".join(f"{each['images_per_second']:.0f} ({each['threads']} threads)" for each in bare)
    split = ", ".join(f"{name} {seconds:.2f}" for name, seconds in flower["round_seconds"].items())
    return f"images/s: plain loop {loops}; Flower {flower['images_per_second']:.0f} (a round: {split} s)"


def summary(result: dict[str, Any]) -> str:
    """Return the result as text."""
    ratio, flower = result["ratio"], [pair["flower"] for pair in result["pairs"]]
    startup = median(sum(each["startup_seconds"].values()) for each in flower)
    lines = [
        f"Flower over the faster plain loop: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}).",
        f"Start until round 1: {startup:.0f} s, not in the ratio.",
    ]
    if memory := result.get("memory"):
        short, long = flower[-1]["peak_memory_mib"], memory["long_run"]["peak_memory_mib"]
        lines += [
            f"Peak memory of {who}: {short[who]:.0f} MiB after {memory['rounds'][0]} rounds, {long[who]:.0f} MiB after "
            f"{memory['rounds'][1]} ({memory['growth'][who]:.2f} times)."
            for who in short
        ]
    return "\n".join(lines)


def _write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
