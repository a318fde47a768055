"""Bytes an image on the wire and TSTR Dice, for each number format of images and feedback.

    python benchmarks/wire_bytes.py --output <directory>

runs the main job on the digits for each setting and seed, through the real strategy and ClientApp on an in-process grid
that counts every message, and prints a table. Beside it stands what one synchronisation of the weights costs, as FedGAN
does it (Rasouli et al. 2020): 4 bytes a parameter of generator and discriminator, down and up.
"""

from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated

import typer

from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.run_records import RunMetrics

CLIENTS = 2
FORMATS = (("float32", "float32"), ("uint8", "float16"), ("uint8", "int8"))


def bytes_an_image(metrics: RunMetrics) -> tuple[float, float]:
    """Return the bytes down and up that the rounds cost, an image."""
    images = sum(each.images for each in metrics.rounds)
    clients = [client for each in metrics.rounds for client in each.clients.values()]
    return sum(c.bytes_received for c in clients) / images, sum(c.bytes_sent for c in clients) / images


def synchronisation_bytes(config: Config, shape: ImageShape) -> int:
    """Return the bytes of one synchronisation of both networks of one client."""
    networks = (build_generator(config.model, shape), build_discriminator(config.model, shape))
    return 2 * 4 * sum(parameter.numel() for network in networks for parameter in network.parameters())


def main(
    output: Annotated[Path, typer.Option(help="Where the run directories go; those that are there are not run again.")],
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
) -> None:
    """Measure bytes an image and Dice for each number format."""
    print("| images | feedback | bytes down | bytes up | of float32 | Dice |\n|---|---|---|---|---|---|")
    whole = 0.0
    for images, feedback in FORMATS:
        dice, down, up = [], 0.0, 0.0
        for seed in range(seeds):
            directory = output.resolve() / f"{images}-{feedback}-{seed}"
            given = (
                f"seed={seed} exchange.image_format={images} exchange.feedback_format={feedback} "
                f"downstream.rows=[DGAN] downstream.seeds=1 output.directory='{directory}' {overrides}"
            )
            if not (directory / "report.md").is_file():
                run_job(InProcessGrid(app, simulated_contexts(CLIENTS, given)), resolve(given), seed)
            metrics = read_metrics(directory)
            down, up = bytes_an_image(metrics)
            dice.append(fmean(result.values["dice"] for result in metrics.tstr))
        whole = whole or down + up
        spread = f" ± {stdev(dice):.3f}" if len(dice) > 1 else ""
        cells = (
            images,
            feedback,
            f"{down:.0f}",
            f"{up:.0f}",
            f"{(down + up) / whole:.3f}",
            f"{fmean(dice):.3f}{spread}",
        )
        print("| " + " | ".join(cells) + " |", flush=True)
    config = resolve(overrides)
    shape = ImageShape(2, config.data.channels, config.data.image_size, ("a", "b"))
    print(
        f"One synchronisation of the weights of generator and discriminator: {synchronisation_bytes(config, shape):,}"
    )


if __name__ == "__main__":
    typer.run(main)
