"""Instance segmentation of nuclei that touch: the dense model against connected components, by equal steps and seeds.

    python benchmarks/round_instances.py --data <nuclei> --results nuclei.jsonl --seeds 0 1

trains on the training tiles (``tr_*``) that have numbered objects in ``instances/``, and scores whole test tiles
(``te_*``). What the file has is not measured again. Arms: ``dense`` (objects grow from the middles that the head
finds), ``no head`` (from where the foreground is widest), ``components`` (connected components of the foreground of the
network that has no head, which so learned from masks alone), and ``segmentation`` (components of the model of the
segmentation task). A component's score is the mean probability of its pixels.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from common import append_line, read_lines, spread
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.data.class_maps import CLASSES, class_map, shape_of
from flower_dgan.data.image_files import read_image, read_mask
from flower_dgan.data.object_masks import ObjectMasks, in_array, of_numbers
from flower_dgan.metrics import Metric, find_metric
from flower_dgan.resolve import resolve
from flower_dgan.tasks.instances.dense import FOREGROUND
from flower_dgan.tasks.instances.fit import fit_dense
from flower_dgan.tasks.instances.predict import find_objects
from flower_dgan.tasks.segmentation.fit import fit_segmenter

OF_OBJECTS, OF_NUMBERS = ("ap", "ap50", "dsb50", "objects-found"), ("object-dice", "aji")
ARMS = ("dense", "no head", "components", "segmentation")


def read(data: Path, split: str) -> Pairs:
    """Read the tiles of a split that have numbered objects, with class maps drawn from those."""
    files = sorted((data / "instances").glob(f"{split}_*.png"))
    objects = [of_numbers(read_mask(path)) for path in files]
    shape = shape_of(objects)
    images = tuple(read_image(data / "images" / path.name, 3) for path in files)
    return Pairs(images, tuple(class_map(each, shape) for each in objects), len(CLASSES), objects=tuple(objects))


def components(foreground: NDArray[np.float32]) -> ObjectMasks:
    """Return the connected components of a map of probabilities (height, width), with their means for scores."""
    found = of_numbers(ndimage.label(foreground > 0.5, np.ones((3, 3)))[0])
    scores = (float(foreground[each.window][each.pixels].mean()) for each in found.regions)
    return replace(found, scores=tuple(scores))


def probabilities(model: nn.Module, image: NDArray[np.uint8], *, softmax: bool) -> NDArray[np.float32]:
    """Return the probability of foreground of each pixel."""
    batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        logits = model(batch)[0]
    found: NDArray[np.float32] = (logits.softmax(0)[1] if softmax else logits[FOREGROUND].sigmoid()).numpy()
    return found


def scores(found: Sequence[ObjectMasks], truth: Sequence[ObjectMasks]) -> dict[str, float]:
    """Return the figures of predicted objects; those of numbers, where a pixel is of one object, want no score."""
    values = {}
    for name in OF_OBJECTS:
        tally = find_metric(name, Metric).begin(2)
        tally.add(in_array(truth), in_array(found))
        values[name] = tally.value()
    for name in OF_NUMBERS:
        tally = find_metric(name, Metric).begin(2)
        for true, other in zip(truth, found, strict=True):
            tally.add(true.numbers()[None], other.numbers()[None])
        values[name] = tally.value()
    return values


Finder = Callable[[NDArray[np.uint8]], ObjectMasks]


def finders(train: Pairs, config: Config, seed: int, arms: Sequence[str]) -> dict[str, tuple[Finder, float]]:
    """Train what the arms want; return how each finds objects, and the CPU seconds of its training."""
    made: dict[str, tuple[Finder, float]] = {}
    size, augmentation = config.data.image_size, config.data.augmentation
    for head, of_head in ((True, ("dense",)), (False, ("no head", "components"))):
        if not set(of_head) & set(arms):
            continue
        begun = time.process_time()
        settings = replace(config.downstream, skeleton=head)
        training = fit_dense(train, settings, image_size=size, augmentation=augmentation, seed=seed)
        training.run(settings.steps)
        seconds, model = time.process_time() - begun, training.model
        made[of_head[0]] = (lambda image, model=model: find_objects(model, image)), seconds
        if not head:
            made["components"] = (
                (lambda image, model=model: components(probabilities(model, image, softmax=False))),
                seconds,
            )
    if "segmentation" in arms:
        begun = time.process_time()
        masks = Pairs(train.images, tuple((each > 0).astype(np.uint8) for each in train.label_maps), 2)
        settings = resolve(f"data=folder data.root=/none downstream.steps={config.downstream.steps}").downstream
        training = fit_segmenter(masks, settings, image_size=size, augmentation=augmentation, seed=seed)
        training.run(settings.steps)
        network, seconds = training.model, time.process_time() - begun
        made["segmentation"] = (lambda image: components(probabilities(network, image, softmax=True))), seconds
    return {arm: made[arm] for arm in arms}


def measure(options: argparse.Namespace) -> None:
    """Add to the results what is not there."""
    folder = f"data=folder data.root={options.data} data.image_size={options.window}"
    config = resolve(f"{folder} downstream=instances {options.overrides}")
    train, test = read(options.data, "tr"), read(options.data, "te")
    print(f"{len(train)} training and {len(test)} test tiles", flush=True)
    for seed in options.seeds:
        key = {"seed": seed, "steps": config.downstream.steps, "window": options.window, "set": options.overrides}
        there = [line["arm"] for line in read_lines(options.results) if key.items() <= line.items()]
        left = [arm for arm in options.arms if arm not in there]
        for arm, (find, seconds) in finders(train, config, seed, left).items():
            assert test.objects is not None
            values = scores([find(image) for image in test.images], test.objects)
            append_line(options.results, {**key, "arm": arm, "cpu_seconds": round(seconds, 1), **values})
            print(arm, seed, f"{seconds:.0f} s", {name: round(value, 3) for name, value in values.items()}, flush=True)


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table in Markdown, a row an arm and number of steps."""
    names = (*OF_OBJECTS, *OF_NUMBERS)
    titles = [find_metric(name, Metric).title for name in names]
    rows = ["| arm | steps | seeds | CPU s | " + " | ".join(titles) + " |", "|---|---|---|---|" + "---|" * len(titles)]
    for steps in sorted({line["steps"] for line in lines}):
        for arm in ARMS:
            of_arm = [line for line in lines if (line["steps"], line["arm"]) == (steps, arm)]
            if of_arm:
                cells = [spread([line[name] for line in of_arm], 3) for name in names]
                seconds = spread([line["cpu_seconds"] for line in of_arm], 0)
                rows.append(f"| {arm} | {steps} | {len(of_arm)} | {seconds} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Folder with images/ and instances/ of nuclei.")
    parser.add_argument("--results", type=Path, required=True, help="File of JSON lines; made, or added to.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--window", type=int, default=128, help="Side of a training window in pixels.")
    parser.add_argument("--overrides", default="", help="Such as 'downstream.steps=1000'.")
    options = parser.parse_args()
    if not (options.data / "instances").is_dir():
        print(f"Skipped: there is no {options.data / 'instances'}, the nuclei with a number for each.")
        return
    torch.set_num_threads(1)
    measure(options)
    print(table(read_lines(options.results)))


if __name__ == "__main__":
    main()
