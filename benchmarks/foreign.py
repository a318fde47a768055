"""The defaults for folders on data of several kinds, beside a plain loop of the same networks.

    python benchmarks/foreign.py --output <directory> --nuclei <folder> --worms <folder>

trains, in this process, on

nuclei
    Stained tiles of four organs, a client each.
mixed
    The same tiles, dealt out to four clients at random.
modalities
    The same four clients, of which three hold dim grey images: the haematoxylin channel (Ruifrok and Johnston 2001) of
    their tiles on black, at a brightness of its own for each patient.
worms
    Grey wells, dark worms on a bright ground within a black plate; the halves of the plate are two clients.

with the defaults (``shipped``), and with as many generator steps of a loop whose clients answer every batch at once
(``loop``: AsynDGAN as published, one exchange a message, without levels, moves and penalty). What is wrong with both is
wrong with the networks; what is wrong with ``shipped`` alone is wrong with the use of a message. Then it measures the
Dice of a segmentation model that is trained on the synthetic images and tested on real ones, as a share of that of a
model which is trained on all real images. It writes ``foreign.jsonl`` line by line, and goes on from there when it is
started again; sample images are in the run directories beside it.
"""

import hashlib
import shlex
from pathlib import Path
from statistics import fmean
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from common import append_line, read_lines, spread
from flower_dgan.client_app import app
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve

ORGANS = ("breast", "kidney", "liver", "prostate")
STAINED = "breast"
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical densities of haematoxylin, eosin and DAB in red, green and blue (Ruifrok and Johnston 2001)."""
LOOP = (
    "exchange.rounds=768 exchange.exchanges=1 exchange.generator_steps=1 algorithm.replay=gradient algorithm.passes=1 "
    "algorithm.gradient_penalty=0 model.levels=none exchange.image_format=float32 exchange.feedback_format=float32 "
    "output.sample_interval=256"
)
WAYS = {"shipped": "", "loop": LOOP}


def make_modalities(nuclei: Path, folder: Path) -> None:
    """Write the tiles of four organs, those of three of them as dim grey images."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    separate = np.linalg.inv(_STAINS)
    for path in sorted((nuclei / "images").glob("*.png")):
        _, organ, patient, _ = path.stem.split("_")
        if organ not in ORGANS:
            continue
        image = np.asarray(Image.open(path).convert("RGB"))
        if organ != STAINED:
            stain = (-np.log((image + 1.0) / 256) @ separate)[..., 0]
            low, high = np.percentile(stain, (20, 99))
            seed = int(hashlib.sha256(f"{organ} {patient}".encode()).hexdigest()[:8], 16)
            brightness = 255 * np.random.default_rng(seed).uniform(0.12, 0.5)
            grey = 6 + brightness * np.clip((stain - low) / (high - low), 0, 1)
            image = np.repeat(grey.round().clip(0, 255).astype(np.uint8)[..., None], 3, 2)
        Image.fromarray(image).save(folder / "images" / path.name)
        Image.open(nuclei / "masks" / path.name).save(folder / "masks" / path.name)


def overrides_of(nuclei: Path, worms: Path, modalities: Path) -> dict[str, tuple[int, str]]:
    """Return the clients and overrides of each kind of data."""

    def folder(path: Path) -> str:
        return f"data=folder data.root={shlex.quote(str(path))}"

    sites = f"data.sites=[{','.join(ORGANS)}]"
    pattern = """'data.name_pattern="(?P<site>c[^_]+)_(?P<group>[^_.]+)"'"""
    return {
        "nuclei": (4, f"{folder(nuclei)} {sites}"),
        "mixed": (4, f"{folder(nuclei)} {sites} partition=iid"),
        "modalities": (4, folder(modalities)),
        "worms": (2, f"{folder(worms)} data.channels=1 {pattern}"),
    }


def measure(clients: int, overrides: str) -> dict[str, float]:
    """Train, and return the mean Dice of each row."""
    grid = InProcessGrid(app, simulated_contexts(clients, overrides))
    results = read_metrics(run_job(grid, resolve(overrides), 0).path).tstr
    rows = {each.row for each in results}
    return {row: fmean(each.values["dice"] for each in results if each.row == row) for row in rows}


def main(
    output: Annotated[Path, typer.Option(help="Directory of the results; what is there already is not run again.")],
    nuclei: Annotated[Path, typer.Option(help="Folder of the nuclei: images/ and masks/.")],
    worms: Annotated[Path, typer.Option(help="Folder of the worms: images/ and masks/.")],
    data: Annotated[str, typer.Option(help="Which kinds of data.")] = "nuclei,mixed,modalities,worms",
    ways: Annotated[str, typer.Option(help="shipped, loop.")] = "shipped,loop",
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    trainings: Annotated[int, typer.Option(min=1, help="Segmentation models a row and seed.")] = 2,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
) -> None:
    """Measure the defaults on data of several kinds."""
    output.mkdir(parents=True, exist_ok=True)
    modalities = output / "modalities"
    if "modalities" in data.split(",") and not modalities.is_dir():
        make_modalities(nuclei, modalities)
    path = output / "foreign.jsonl"
    kinds = overrides_of(nuclei, worms, modalities)
    for kind in data.split(","):
        clients, common = kinds[kind]
        for way in ways.split(","):
            for seed in range(seeds):
                run = {"data": kind, "way": way, "seed": seed, "overrides": overrides}
                if any(run.items() <= line.items() for line in read_lines(path)):
                    continue
                directory = output / f"{kind}-{way}-{seed}"
                chosen = (
                    f"{common} seed={seed} downstream.seeds={trainings} downstream.rows=[Real-All,DGAN] "
                    f"output.directory={shlex.quote(str(directory))} {WAYS[way]} {overrides}"
                )
                append_line(path, {**run, "dice": measure(clients, chosen), "directory": str(directory)})
    print(table(output))


def table(output: Path) -> str:
    """Return the shares as a Markdown table."""
    lines = read_lines(output / "foreign.jsonl")
    rows = ["| data | way | Real-All | DGAN | share |", "|---|---|---|---|---|"]
    for kind, way in dict.fromkeys((line["data"], line["way"]) for line in lines):
        dice = [line["dice"] for line in lines if (line["data"], line["way"]) == (kind, way)]
        shares = [each["DGAN"] / each["Real-All"] for each in dice]
        real, synthetic = ([each[row] for each in dice] for row in ("Real-All", "DGAN"))
        rows.append(f"| {kind} | {way} | {spread(real, 3)} | {spread(synthetic, 3)} | {spread(shares, 3)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    typer.run(main)
