"""What a generator still knows of its first task after the last: TDGAN, plain fine-tuning, and all tasks at once.

    python benchmarks/forgetting.py --output <directory> \
        --base "data=folder data.root=<folder> algorithm=tdgan-images" \
        --tasks "data.sites=[breast]|data.sites=[liver]|data.sites=[prostate]" \
        --together "data.sites=[breast,liver,prostate]"

A task is a training through the real strategy and ClientApp in one process. Its clients are all the nodes that there
are: those of earlier tasks are gone, with their images and discriminators. Then a segmentation model is trained on what
the generator draws from the first task's label maps, and tested on the real test images of the first task's clients.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from algorithms import Judge
from bundles import score
from common import append_line, natural_clients, read_lines, spread
from flower_dgan.client_app import app
from flower_dgan.comparison.by_class import class_agreement
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source, partition
from flower_dgan.federation.job import run_job
from flower_dgan.federation.previous_task import GENERATOR, LABEL_MAPS, read_label_maps_of_run
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import synthesize
from flower_dgan.wiring import bundle_settings

FORGETTING = "algorithm.reminding_l1_weight=0 algorithm.reminding_perceptual_weight=0"


def train(overrides: str, directory: Path, previous: Path | None) -> Path:
    """Train one task and return its run directory."""
    before = "" if previous is None else f"algorithm.previous='{previous}'"
    given = f"{overrides} {before} downstream.seeds=0 output.synthetic_images=1 output.directory='{directory}'"
    config = resolve(given)
    run_job(InProcessGrid(app, simulated_contexts(natural_clients(config, 1), given)), config, 0)
    return directory


def first_task(overrides: str) -> tuple[Pairs, Pairs]:
    """Return the real pairs of the first task's clients: training and test."""
    config = resolve(overrides)
    source, clients = open_source(config.data), natural_clients(config, 1)
    parts = partition(source, config.partition, clients, config.seed)
    ours = [entry for part in parts.values() for entry in part]
    sites, labels = {entry.site for entry in ours}, {entry.label for entry in ours}
    return source.load(ours), source.load([e for e in source.test if e.site in sites and e.label in labels])


def draw(directory: Path, overrides: str, first: Path) -> Pairs:
    """Draw from a run's generator on the label maps of the first task."""
    config = resolve(overrides)
    network, _, _ = load_generator(directory / GENERATOR)
    labels = read_label_maps_of_run(first / LABEL_MAPS)
    return synthesize(network, labels, bundle_settings(config), config.output.synthetic_images)[0]


def measure(config: Config, pairs: Pairs, test: Pairs, judge: Judge | None) -> dict[str, float]:
    """Return what some pairs are worth: the scores of a segmentation model, or the share of images of their class."""
    if judge is None:
        return score(config, pairs, test)
    labels = [int(label_map.flat[0]) for label_map in pairs.label_maps]
    return {"agreement": class_agreement(judge.classifier, pairs.images, labels)}


def main(
    output: Annotated[Path, typer.Option(help="Directory of the results; what is there already is not run again.")],
    base: Annotated[str, typer.Option(help="Overrides of all.")],
    tasks: Annotated[str, typer.Option(help="Overrides that choose the clients of each task, separated by |.")],
    together: Annotated[str, typer.Option(help="Overrides that choose the clients of all tasks.")],
    seeds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Compare what is left of the first task."""
    output.mkdir(parents=True, exist_ok=True)
    results, chosen = output / "results.jsonl", tasks.split("|")
    for seed in range(seeds):
        seeded = f"{base} seed={seed}"
        config = resolve(f"{seeded} {chosen[0]}")
        real, test = first_task(f"{seeded} {chosen[0]}")
        judge = Judge(config) if config.data.condition == "class" else None

        def note(
            row: str,
            pairs: Pairs,
            seconds: float = 0.0,
            config: Config = config,
            test: Pairs = test,
            judge: Judge | None = judge,
        ) -> None:
            found = {"row": row, "seed": config.seed, "seconds": seconds, **measure(config, pairs, test, judge)}
            append_line(results, found)
            print(json.dumps(found), flush=True)

        done = {line["row"] for line in read_lines(results) if line["seed"] == seed}
        with tempfile.TemporaryDirectory() as scratch:
            if "real images" not in done:
                note("real images", real)
            first = train(f"{seeded} {chosen[0]}", Path(scratch) / "first", None)
            if "after the first task" not in done:
                note("after the first task", draw(first, seeded, first))
            for row, weights in (("TDGAN", ""), ("fine-tuning", FORGETTING)):
                if row not in done:
                    directory, start = first, time.monotonic()
                    for number, task in enumerate(chosen[1:]):
                        directory = train(f"{seeded} {weights} {task}", Path(scratch) / f"{row}-{number}", directory)
                    note(row, draw(directory, seeded, first), time.monotonic() - start)
            if "all tasks at once" not in done:
                start = time.monotonic()
                directory = train(f"{seeded} {together}", Path(scratch) / "together", None)
                note("all tasks at once", draw(directory, seeded, first), time.monotonic() - start)
    lines = read_lines(results)
    name = "agreement" if "agreement" in lines[0] else "dice"
    for row in dict.fromkeys(line["row"] for line in lines):
        found = [line[name] for line in lines if line["row"] == row]
        print(f"| {row} | {spread(found, 3)} | {len(found)} |")


if __name__ == "__main__":
    typer.run(main)
