"""MD-GAN's traffic beside its paper's formulas, for k in {1, ceil(log N), N} and N workers.

    python benchmarks/mdgan_bytes.py --output mdgan_bytes.json

Runs four rounds of S = 1, with one swap, on the digits in equal parts, with MLPs and float32 both ways, through the
real strategy and ClientApp in one process, and counts. Hardy 2019, in numbers of 4 bytes, with b images a
batch, d numbers an image and N workers: the server sends each worker 2 b d an iteration, gets b d back, and a swap
moves |theta| from worker to worker, here up to the server and down again. What is beyond the formulas is label maps,
losses, scales and settings.
"""

import json
import math
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from flower_dgan.client_app import app
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.networks.build import discriminator_form
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.run_records import RunMetrics

NUMBER = 4  # bytes
ROUNDS, SWAP_INTERVAL, PLAIN = 4, 3, 2  # discriminators go up in round 3 and down in round 4


def settings(k: int, batch_size: int) -> str:
    """Return the overrides of one training."""
    return (
        "data=digits data.condition=none data.image_size=8 model=mlp partition=iid downstream=none algorithm=mdgan "
        f"exchange=single exchange.batch_size={batch_size} exchange.rounds={ROUNDS} output.synthetic_images=2 "
        f"algorithm.shared_batches={k} algorithm.swap_interval={SWAP_INTERVAL} output.checkpoint_interval=1000"
    )


def swapped(metrics: RunMetrics, direction: str) -> float:
    """Return the bytes of one worker's discriminator in one direction."""
    found = [each for each in metrics.records if (each.record, each.direction) == ("discriminator", direction)]
    return sum(each.bytes for each in found) / len({each.site for each in found})


def measure(clients: int, k: int, batch_size: int) -> dict[str, Any]:
    """Train for a few rounds and compare a worker's bytes with the formulas."""
    with tempfile.TemporaryDirectory() as scratch:
        given = f"{settings(k, batch_size)} output.directory='{Path(scratch) / 'run'}'"
        config = resolve(given)
        run_job(InProcessGrid(app, simulated_contexts(clients, given)), config, clients)
        metrics = read_metrics(Path(scratch) / "run")
    batch = batch_size * config.data.image_size**2 * config.data.channels * NUMBER
    theta = sum(math.prod(shape) for shape in discriminator_form(config, 1).shapes.values()) * NUMBER
    workers = [worker for each in metrics.rounds if each.round == PLAIN for worker in each.clients.values()]
    return {
        "clients": clients,
        "k": k,
        "down": fmean(worker.bytes_received for worker in workers),
        "down_formula": 2 * batch,
        "up": fmean(worker.bytes_sent for worker in workers),
        "up_formula": batch,
        "swap_up": swapped(metrics, "from node"),
        "swap_down": swapped(metrics, "to node"),
        "swap_formula": theta,
    }


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result.")],
    clients: Annotated[str, typer.Option(help="Numbers of workers N.")] = "2,10,25",
    batch_size: Annotated[int, typer.Option(min=1)] = 10,
) -> None:
    """Compare MD-GAN's traffic with its formulas."""
    found = []
    for count in map(int, clients.split(",")):
        for k in sorted({1, math.ceil(math.log(count)), count}):
            found.append(measure(count, k, batch_size))
            print(json.dumps(found[-1]), flush=True)
    output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
