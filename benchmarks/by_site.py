"""How far the images that finished runs draw for each of their clients are from that client's real ones.

    python benchmarks/by_site.py --features segmenter-256 <run directory> <run directory> ...

Fréchet distance between images that a run's generator draws on a client's label maps, in the style of its site, and the
client's real training images, by one feature network for all runs, which is trained on the real training split of the
first run's data. The files in a run's ``synthetic/`` would not do: any label map may be in the style of any site there.
Runs that differ in their seeds are one row, with mean and spread. Dice is that of the run's row ``DGAN``.
"""

from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer
import yaml
from torch import nn

from common import spread
from flower_dgan.algorithms.find import read_config
from flower_dgan.comparison.feature_networks import Features, open_network
from flower_dgan.comparison.image_sets import cut_windows
from flower_dgan.config import Config
from flower_dgan.data import open_source, partition
from flower_dgan.federation.previous_task import GENERATOR, LABEL_MAPS, read_label_maps_of_run
from flower_dgan.generator_file import load_generator
from flower_dgan.metrics.shared.feature_moments import frechet_of_moments, moments_of
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.synthesis import draw_for
from flower_dgan.wiring import bundle_settings


def run_config(directory: Path) -> Config:
    """Return the configuration of a run."""
    return read_config(Config, yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8")))


def distances(directory: Path, config: Config, network: nn.Module, look: Features) -> dict[str, float]:
    """Return the distance of each client, by name."""
    source, size, found = open_source(config.data), config.data.image_size, {}
    clients = {labels.name: labels for labels in read_label_maps_of_run(directory / LABEL_MAPS)}
    for client, entries in partition(source, config.partition, len(clients), config.seed).items():
        count = config.output.synthetic_images // len(clients)
        drawn = draw_for(network, clients[client], bundle_settings(config), count).images
        sets = (cut_windows(client, each, size) for each in (source.load(entries).images, drawn))
        found[client] = frechet_of_moments(*(moments_of(look(windows)) for windows in sets))
    return found


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
        dice = fmean(line.values["dice"] for line in read_metrics(run).tstr if line.row == "DGAN")
        site = " with site" if config.model.site_condition else ""
        generator, _, _ = load_generator(run / GENERATOR)
        size = sum(parameter.numel() for parameter in generator.parameters())
        found = distances(run, config, generator, look)
        rows.setdefault((f"{config.model.generator}{site}", size), []).append((found, dice))
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
