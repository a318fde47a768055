"""Algorithms against each other where images have classes: which does each make, how real, for how many bytes.

    python benchmarks/algorithms.py --output <directory> --overrides "data=mnist data.root=<folder>" \
        --choices "AsynDGAN: algorithm=dgan|UA-GAN: algorithm=uagan" --groups "[[0,1,2,3,4],[5,6,7,8,9]]" --seeds 3

trains each choice of overrides through the real strategy and ClientApp in one process, one client for each group of
labels. ``--groups pooled`` makes one client of all data: the centralised bound. A choice may have a name before ``: ``.
Overrides that begin with ``FedGAN`` train the networks and batches of the rest as FedGAN, which has as many generator
steps; its seconds are those of all clients, one after the other. A classifier that is trained on the real training
images then looks at the synthetic ones, see ``flower_dgan.comparison.by_class``. What is there already is not run
again; ``table.md`` and ``losses.png`` have the means over the seeds of all that is there.
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

from algorithms_report import POOLED, split_name, table, write_reports
from common import append_line, read_lines
from flower_dgan.baselines.fedgan_row import train_fedgan
from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.comparison.by_class import (
    Classifier,
    class_agreement,
    class_shares,
    covered_classes,
    frechet_cnn32,
    frechet_cnn32_floor,
    train_classifier,
)
from flower_dgan.config import Config
from flower_dgan.data import Pixels, open_source
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wiring import threads

FEDGAN = "FedGAN "
_SHOWN = 10


class Judge:
    """The classifier of one data set, and the real images that it compares with."""

    def __init__(self, config: Config) -> None:
        source = open_source(config.data)
        self.train, self.test = source.load(source.train).images, source.load(source.test).images
        labels = [entry.label for entry in source.train]
        self.classifier: Classifier = train_classifier(self.train, labels, source.image_classes, 0)
        self.accuracy = class_agreement(self.classifier, self.test, [entry.label for entry in source.test])

    def judge(self, images: tuple[Pixels, ...], held: tuple[int, ...] | None) -> dict[str, Any]:
        """Return the scores of synthetic images of clients that hold these classes, None for all."""
        shares = class_shares(self.classifier, images)
        distance = frechet_cnn32(self.classifier, images, self.test)
        return {
            "classes": covered_classes(shares, held),
            "held": held or tuple(range(len(shares))),
            "shares": shares,
            "frechet": distance,
            "frechet_floor": frechet_cnn32_floor(self.classifier, self.train, self.test, len(images)),
        }


def read_images(directory: Path) -> tuple[Pixels, ...]:
    """Return the synthetic images of a run."""
    found = [np.asarray(Image.open(path)) for path in sorted((directory / "synthetic/images").glob("*.png"))]
    return tuple(image[:, :, None] if image.ndim == 2 else image for image in found)


def show(images: tuple[Pixels, ...], path: Path) -> None:
    """Write a few images as one picture."""
    chosen = [images[index] for index in np.linspace(0, len(images) - 1, _SHOWN**2).astype(int)]
    rows = [np.concatenate(chosen[start : start + _SHOWN], 1) for start in range(0, _SHOWN**2, _SHOWN)]
    picture = np.concatenate(rows)
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(path)


def measure(choice: str, groups: str, seed: int, overrides: str, judge: Judge, picture: Path) -> dict[str, Any]:
    """Train once and return what came out."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "run"
        partition = "partition=iid" if groups == POOLED else f"partition=label partition.label_groups={groups}"
        named = split_name(choice)[1]
        chosen = named.removeprefix(FEDGAN)
        given = f"{overrides} {chosen} {partition} downstream=none seed={seed} output.directory='{directory}'"
        config = resolve(given)
        label_groups = config.partition.label_groups
        clients = len(label_groups) or 1
        held = tuple(label for group in label_groups for label in group) or None
        start = time.monotonic()
        losses: list[float] = []
        if chosen != named:
            with threads(config.threads):
                pairs, ledger, rounds = train_fedgan(config, open_federation(config, clients))
            images, traffic = pairs.images, sum(count.bytes for *_, count in ledger.rows())
        else:
            run_job(InProcessGrid(app, simulated_contexts(clients, given)), config, seed)
            metrics, images = read_metrics(directory), read_images(directory)
            of_clients = [list(each.clients.values()) for each in metrics.rounds]
            traffic = sum(each.bytes_sent + each.bytes_received for r in of_clients for each in r)
            losses, rounds = [fmean(each.generator_loss for each in r) for r in of_clients], len(metrics.rounds)
        show(images, picture)
        return {
            "choice": choice,
            "groups": groups,
            "seed": seed,
            "clients": clients,
            "rounds": rounds,
            "seconds": time.monotonic() - start,
            "bytes_a_client": traffic / clients,
            "generator_loss": losses,
            **judge.judge(images, held),
        }


def main(
    output: Annotated[Path, typer.Option(help="Directory of the results.")],
    choices: Annotated[str, typer.Option(help="Overrides to compare, separated by |, each with or without 'name: '.")],
    groups: Annotated[str, typer.Option(help="Label groups of the clients, or 'pooled'; several separated by |.")],
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    overrides: Annotated[str, typer.Option(help="Overrides of all.")] = "",
) -> None:
    """Compare algorithms on images with classes."""
    output.mkdir(parents=True, exist_ok=True)
    results = output / "results.jsonl"
    first = split_name(choices.split("|")[0])[1].removeprefix(FEDGAN)
    judge = Judge(resolve(f"{overrides} {first} downstream=none"))
    for seed in range(seeds):
        for group in groups.split("|"):
            for choice in choices.split("|"):
                lines = read_lines(results)
                if any((x["choice"], x["groups"], x["seed"]) == (choice, group, seed) for x in lines):
                    continue
                name = f"{len(lines):03d}.png"
                found = measure(choice, group, seed, overrides, judge, output / name)
                append_line(results, found | {"picture": name, "accuracy": judge.accuracy, "overrides": overrides})
                shown = {key: found[key] for key in ("choice", "groups", "seed", "classes", "frechet", "seconds")}
                print(json.dumps(shown), flush=True)
    head = f"Classifier: accuracy {judge.accuracy:.3f} on real test images; torch {torch.__version__}."
    write_reports(read_lines(results), output, head)
    print(table(read_lines(results)))


if __name__ == "__main__":
    typer.run(main)
