"""What one more client costs the server: its time an exchange and its memory, with 2, 8 and 32 simulated clients.

    python benchmarks/scaling.py --output scaling.json

Each number of clients is a ``flwr run`` in simulation of its own, on the digits in equal random parts. The server's
time is that of drawing and of stepping the generator; the first round is warm-up. Beside the server's peak memory is
what it must hold of the clients: their label maps, and one bundle each as it was drawn.
"""

import json
import os
import platform
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
import typer

from flower_dgan.baselines.rows import open_federation
from flower_dgan.config import Config
from flower_dgan.errors import DganError
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from local_flower import local_flower, write_app


def bundle_bytes(config: Config, classes: int) -> int:
    """Return the bytes of one client's bundle at the server: images, one-hot label maps and texture in float32."""
    pixels = config.exchange.exchanges * config.exchange.batch_size * config.data.image_size**2
    return pixels * (config.data.channels + classes + 1) * 4


def measure(clients: int, overrides: str, timeout: float) -> dict[str, Any]:
    """Run with so many clients."""
    config = resolve(overrides)
    federation = open_federation(config, clients)
    label_maps = sum(label_map.nbytes for labels in federation.labels for label_map in labels.label_maps)
    with tempfile.TemporaryDirectory() as scratch, local_flower(clients) as flower:
        directory = Path(scratch) / "run"
        given = f"{overrides} exchange.min_nodes={clients} output.directory='{directory}'"
        flower.run(write_app(Path(scratch) / "app"), given, timeout=timeout)
        metrics = read_metrics(directory)
    seconds = fmean(each.seconds["generator"] for each in metrics.rounds[1:])
    return {
        "clients": clients,
        "seconds_an_exchange": seconds / (clients * config.exchange.exchanges),
        "server_peak_mib": next(peak.peak_mib for peak in metrics.memory if peak.who == "server"),
        "label_maps_mib": label_maps / 2**20,
        "bundles_mib": clients * bundle_bytes(config, federation.shape.classes) / 2**20,
        "rejected": sum(len(each.rejected) for each in metrics.rounds),
    }


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result.")],
    clients: Annotated[str, typer.Option(help="Numbers of clients.")] = "2,8,32",
    rounds: Annotated[int, typer.Option(min=2)] = 6,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
    timeout: Annotated[float, typer.Option(help="Longest time of one run, in seconds.")] = 1800.0,
) -> None:
    """Measure the server's time an exchange and its memory for several numbers of clients."""
    given = f"partition=iid downstream=none output.synthetic_images=2 exchange.rounds={rounds} {overrides}".strip()
    machine = {"cpus": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__}
    found = []
    try:
        for count in clients.split(","):
            found.append(measure(int(count), given, timeout))
            print(json.dumps(found[-1]), flush=True)
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps({"machine": machine, "runs": found}, indent=2) + "\n", encoding="utf-8")
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
