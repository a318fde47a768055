"""How far the images that finished runs drew for each of their clients are from that client's real ones.

    python benchmarks/by_site.py --features segmenter-256 <run directory> <run directory> ...

Fréchet distance between the synthetic images that a run named after a client and the client's real training images, by
one feature network for all runs, which is trained on the real training split of the first run's data. Runs that differ
in their seeds are one row, with mean and spread. Dice is that of the run's row ``DGAN``.
"""

from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer
import yaml
from safetensors import safe_open

from common import spread
from flower_dgan.config import Config
from flower_dgan.data import Pixels, open_source, partition
from flower_dgan.data.image_files import list_images
from flower_dgan.evaluation.comparison import cut_windows, read_images
from flower_dgan.evaluation.feature_networks import Features, open_network
from flower_dgan.evaluation.moments import frechet_of_moments, moments_of
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import read_config
from flower_dgan.server.previous_task import GENERATOR


def run_config(directory: Path) -> Config:
    """Return the configuration of a run."""
    return read_config(yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8")))


def parameters(directory: Path) -> int:
    """Return how many parameters a run's generator has."""
    with safe_open(directory / GENERATOR, "pt") as file:
        return sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118 - a file is no dictionary


def distances(directory: Path, config: Config, clients: int, look: Features) -> dict[str, float]:
    """Return the distance of each client, by name."""
    source, size, found = open_source(config.data), config.data.image_size, {}
    for client, entries in partition(source, config.partition, clients, config.seed).items():
        images = source.load(entries).images
        drawn = drawn_for(directory, client, config.data.channels)
        sets = (cut_windows(client, each, size) for each in (images, drawn))
        found[client] = frechet_of_moments(*(moments_of(look(windows)) for windows in sets))
    return found


def drawn_for(directory: Path, client: str, channels: int) -> list[Pixels]:
    """Return the synthetic images that a run named after a client."""
    names = list_images(directory / "synthetic/images")
    images = read_images(directory / "synthetic", channels)
    ours = client.replace(" ", "-").replace("_", "-")
    return [image for name, image in zip(names, images, strict=True) if name.rpartition("_")[0] == ours]


def main(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of one data set and partition.")],
    features: Annotated[str, typer.Option(help="Feature network and its features: cnn-32 or segmenter-256.")],
) -> None:
    """Print a table of the clients' distances, a row for each choice of settings."""
    network, _, count = features.partition("-")
    configs = {run: run_config(run) for run in runs}
    first = next(iter(configs.values()))
    look = open_network(network, int(count), open_source(first.data), first, None).look
    rows: dict[tuple[str, int], list[tuple[dict[str, float], float]]] = {}
    for run, config in configs.items():
        metrics = read_metrics(run)
        dice = fmean(line.scores["dice"] for line in metrics.tstr if line.row == "DGAN")
        site = " with site" if config.model.site_condition else ""
        found = distances(run, config, len(metrics.rounds[0].clients), look)
        rows.setdefault((f"{config.model.generator}{site}", parameters(run)), []).append((found, dice))
    clients = list(next(iter(rows.values()))[0][0])
    print(f"| generator | parameters | seeds | Dice | mean distance | {' | '.join(clients)} |")
    print("|---" * (5 + len(clients)) + "|")
    for (name, size), lines in rows.items():
        cells = [name, f"{size:,}", str(len(lines)), spread([dice for _, dice in lines], 3)]
        cells.append(spread([fmean(found.values()) for found, _ in lines], 1))
        cells += [spread([found[client] for found, _ in lines], 1) for client in clients]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    typer.run(main)
