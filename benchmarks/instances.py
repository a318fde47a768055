"""Instance segmentation of nematodes with and without the head for centre lines, on the published split of BBBC010.

    python benchmarks/instances.py --results instances.jsonl --seeds 0 1

trains a dense model for each arm and seed on 50 wells and scores it on 47, whole and at their full size. What the file
has is not measured again. Arms: ``used`` (objects are traced along the centre lines of the head), ``without``
(there is no head), ``training-only``: the same training as ``used``, traced along the thinned foreground,
as ``without`` is.

``--published <folder>`` scores published predictions on the same wells by the same code, with no seeds alone: those of
PatchPerPix (Hirsch 2020), a file ``<well>.hdf`` each, in github.com/Kainmueller-Lab/PatchPerPix_experiments,
wormbodies/03_results/setup08. They have no scores, so that all are equally sure.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from common import append_line, read_lines, spread
from flower_dgan.config import Config
from flower_dgan.data import Entry, Pairs, open_source
from flower_dgan.data.array_files import write_image
from flower_dgan.data.coco_annotations import CocoFile
from flower_dgan.data.object_masks import ObjectMasks, in_array, of_stack
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.bbbc010 import WELL
from flower_dgan.metrics import Metric, find_metric
from flower_dgan.metrics.shared.average_precision import matched
from flower_dgan.resolve import resolve
from flower_dgan.tasks.instances.dense import DenseModel
from flower_dgan.tasks.instances.fit import fit_dense
from flower_dgan.tasks.instances.predict import find_objects
from flower_dgan.tasks.overlays import beside, show_objects

ARMS = ("used", "training-only", "without")
PUBLISHED = "PatchPerPix, published"
SHOWN = ("ap", "ap50", "ap75", "ap-overlapping", "ap50-overlapping", "dsb50", "dsb80", "objects-found-overlapping")
ENLARGED = 2  # images are read at half size


def truth_of(data: Path, names: Sequence[str]) -> list[ObjectMasks]:
    """Return the true objects of wells at full size, whole, by the names of prepared pairs."""
    file = CocoFile(data / "worms_coco.json")
    by_well = {stem.rpartition("_")[2]: stem for stem in file.images}
    rows, columns = WELL
    place = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    return [file.objects(by_well[name.split("_")[2]]).window(*place) for name in names]


def scores(found: Sequence[ObjectMasks], truth: Sequence[ObjectMasks], metrics: Sequence[str]) -> dict[str, float]:
    """Return the figures of predicted objects."""
    values = {}
    for name in metrics:
        tally = find_metric(name, Metric).begin(4)
        tally.add(in_array(truth), in_array(found))
        values[name] = tally.value()
    return values


def trained(pairs: Pairs, config: Config, seed: int, *, skeleton: bool) -> tuple[DenseModel, float]:
    """Train a model; return it and the seconds of processor time that it took."""
    settings = replace(config.downstream, skeleton=skeleton)
    size, augmentation = config.data.image_size, config.data.augmentation
    begun = time.process_time()
    training = fit_dense(pairs, settings, image_size=size, augmentation=augmentation, seed=seed)
    training.run(settings.steps)
    assert isinstance(training.model, DenseModel)
    return training.model, time.process_time() - begun


def draw(
    folder: Path, wells: Sequence[Entry], pairs: Pairs, truth: Sequence[ObjectMasks], found: Sequence[ObjectMasks]
) -> None:
    """Write a picture of each well: the truth, with what was missed in red, beside what was found."""
    for well, image, true, other in zip(wells, pairs.images, truth, found, strict=True):
        large = image.repeat(ENLARGED, 0).repeat(ENLARGED, 1)
        hit, _ = matched(true, other, 0.5)
        write_image(beside([show_objects(large, true, red=~hit), show_objects(large, other)]), folder, well.name)


def published(folder: Path, wells: Sequence[Entry]) -> list[ObjectMasks]:
    """Read published predictions of wells: layers of a mask each, of which some are empty."""
    import h5py

    found = []
    for well in wells:
        with h5py.File(folder / f"{well.name.split('_')[2]}.hdf") as file:
            layers = file["vote_instances"][:, 0, *WELL] > 0
        objects = of_stack(layers[layers.any((1, 2))])
        found.append(replace(objects, scores=(1.0,) * len(objects)))
    return found


def measure(options: argparse.Namespace, root: Path) -> None:
    """Add to the results what is not there."""
    prepare("bbbc010", options.data, root, PrepareSettings())
    config = resolve(f"data=bbbc010 data.root={root} data.image_size={options.window} {options.overrides}")
    source = open_source(config.data)
    train, test = source.load(source.train), source.load(source.test)
    truth = truth_of(options.data, [entry.name for entry in source.test])
    if options.published and not any(line["arm"] == PUBLISHED for line in read_lines(options.results)):
        values = scores(published(options.published, source.test), truth, config.downstream.metrics)
        append_line(options.results, {"arm": PUBLISHED, "seed": 0, "steps": 0, "cpu_seconds": 0.0, **values})
    for seed in options.seeds:
        for skeleton, arms in ((True, ("used", "training-only")), (False, ("without",))):
            key = {"seed": seed, "steps": config.downstream.steps, "window": options.window, "set": options.overrides}
            there = [line["arm"] for line in read_lines(options.results) if key.items() <= line.items()]
            if all(arm in there or arm not in options.arms for arm in arms):
                continue
            model, seconds = trained(train, config, seed, skeleton=skeleton)
            for arm in arms:
                model.used = arm == "used"
                found = [find_objects(model, image, ENLARGED) for image in test.images]
                if options.pictures:
                    draw(options.pictures / f"{arm}-{seed}", source.test, test, truth, found)
                values = scores(found, truth, config.downstream.metrics)
                append_line(options.results, {**key, "arm": arm, "cpu_seconds": round(seconds, 1), **values})
                print(
                    arm, seed, f"{seconds:.0f} s", {name: round(value, 3) for name, value in values.items()}, flush=True
                )


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table in Markdown, a row an arm and number of steps."""
    titles = [find_metric(name, Metric).title for name in SHOWN]
    rows = ["| head | steps | seeds | CPU s | " + " | ".join(titles) + " |", "|---|---|---|---|" + "---|" * len(titles)]
    for steps in sorted({line["steps"] for line in lines}):
        for arm in (*ARMS, PUBLISHED):
            of_arm = [line for line in lines if (line["steps"], line["arm"]) == (steps, arm)]
            if of_arm:
                cells = [spread([line[name] for line in of_arm], 3) for name in SHOWN]
                seconds = spread([line["cpu_seconds"] for line in of_arm], 0)
                rows.append(f"| {arm} | {steps} | {len(of_arm)} | {seconds} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Folder with images/ and worms_coco.json.")
    parser.add_argument("--results", type=Path, required=True, help="File of JSON lines; made, or added to.")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--published", type=Path, help="Folder of published predictions, a <well>.hdf each.")
    parser.add_argument("--window", type=int, default=160, help="Side of a training window, in pixels of half size.")
    parser.add_argument("--pictures", type=Path, help="Folder for truth and findings of each well, side by side.")
    parser.add_argument("--overrides", default="", help="Such as 'downstream.steps=1000'.")
    options = parser.parse_args()
    if not (options.data / "worms_coco.json").is_file():
        print(f"Skipped: there is no {options.data / 'worms_coco.json'}, the wells of BBBC010 with whole worms.")
        return
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        measure(options, Path(folder) / "wells")
    print(table(read_lines(options.results)))


if __name__ == "__main__":
    main()
