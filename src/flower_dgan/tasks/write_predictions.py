"""What a kept model finds in a folder of images, as files: masks or objects, overlays, counts and lengths."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean, median

import numpy as np
from torch import nn

from flower_dgan.data.array_files import write_image
from flower_dgan.data.centre_lines import length, lines_of
from flower_dgan.data.coco_annotations import write_coco, write_results
from flower_dgan.data.image_files import IMAGE_SUFFIXES, read_image, sound_files
from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.device import enough_memory_for
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.names import folded, portable_stem
from flower_dgan.tasks import find_task
from flower_dgan.tasks.model_file import ModelKind
from flower_dgan.tasks.overlays import show_classes, show_objects
from flower_dgan.whole_file import settle, whole_file

_LINE_POINTS = 64


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    images : int
        How many images were looked at.
    objects : int or None
        How many objects count in them; None for masks.
    remark : str
        What else is to be said of the objects; empty for nothing.
    """

    images: int
    objects: int | None
    remark: str = ""


def write_predictions(
    model: nn.Module,
    kind: ModelKind,
    images: Path,
    output: Path,
    um_per_pixel: float | None = None,
    track: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> Written:
    """Predict every image of a folder.

    Masks are written into ``masks/``, 0 and 255 for two classes, otherwise class ids. Of objects there are
    ``instances.json``, an annotation file of COCO with those that count, their scores and centre lines;
    ``results.json`` with all, as ``loadRes`` of COCO's API takes them for these images; ``counts.csv`` with a row an
    image, and ``objects.csv`` with a row an object. Pictures of both are in ``overlays/``.

    Parameters
    ----------
    model, kind
        From :func:`~flower_dgan.tasks.model_file.load_model`.
    images : Path
        A folder of images of as many channels as the model takes; one with ``images/`` in it will do.
    output : Path
        An empty folder.
    um_per_pixel : float or None
        Micrometres of a pixel, for lengths and areas; None to have them in pixels.
    track : callable
        Is given the stems and yields them again; for a progress bar.

    Raises
    ------
    ConfigError, DataError
        Nothing that the model finds could be drawn, or lengths are asked of what has none, or in a unit that is no
        length; there is no image, or one cannot be used.
    DeviceMemoryError
        An image is too large for the memory of the device.
    StorageError
        A file cannot be written.
    """
    task = find_task(kind.downstream.task)
    folder = images / "images" if (images / "images").is_dir() else images
    if not folder.is_dir():
        raise DataError(f"There is no folder {images.absolute()}: give a folder of images.")
    if um_per_pixel is not None and "instances" not in task.compares:
        raise ConfigError("--um-per-pixel is for lengths of objects, and this model finds masks: leave it out.")
    if um_per_pixel is not None and not (isfinite(um_per_pixel) and um_per_pixel > 0):
        raise ConfigError(f"--um-per-pixel {um_per_pixel:g}: give the micrometres of a pixel, a number above 0.")
    files = sound_files(folder, IMAGE_SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no PNG, JPEG, TIFF or .npy image: put images there.")
    stems = _stems(files)
    found: dict[str, ObjectMasks] = {}
    for name in track(list(files)):
        pixels = read_image(files[name], kind.channels)
        size = f"{files[name]} of {pixels.shape[0]} x {pixels.shape[1]} pixels"
        try:
            with enough_memory_for(size, "the size of the images: cut them into tiles"):
                made = task.look_at(model, pixels, kind.image_size)
        except DataError as error:
            raise DataError(f"{files[name]} cannot be looked at: {error}.") from error
        if isinstance(made, ObjectMasks):
            found[name] = made
            write_image(show_objects(pixels, made), output / "overlays", stems[name])
        else:
            write_image(made * np.uint8(255 if kind.classes == 2 else 1), output / "masks", stems[name])
            write_image(show_classes(pixels, made), output / "overlays", stems[name])
    for written in ("overlays", "masks"):
        if (output / written).is_dir():
            settle(output / written)
    if not found:
        return Written(len(files), None)
    counted = {files[name].name: each.chosen(each.counted) for name, each in found.items()}
    write_coco(output / "instances.json", counted, kind.class_names[1] if len(kind.class_names) == 2 else "object")
    write_results(output / "results.json", found.values())
    _write_tables(output, counted, um_per_pixel)
    remark = task.remark_found(model, list(counted.values()))
    return Written(len(files), sum(map(len, counted.values())), remark)


def _stems(files: Mapping[str, Path]) -> dict[str, str]:
    """Return what the pictures of each image are called; raises DataError if some file system takes two for one."""
    stems = {name: portable_stem(name) for name in files}
    seen: dict[str, Path] = {}
    for name, stem in stems.items():
        if (other := seen.setdefault(folded(stem), files[name])) != files[name]:
            raise DataError(
                f"{other} and {files[name].name} would both be called {stem}.png, as some file systems know no "
                "difference of case or accents: rename one."
            )
    return stems


def _write_tables(output: Path, counted: dict[str, ObjectMasks], um_per_pixel: float | None) -> None:
    unit, pixel = ("pixels", 1.0) if um_per_pixel is None else ("um", um_per_pixel)
    rows: list[tuple[object, ...]] = [("image", "object", "score", f"length_{unit}", f"area_{unit}2")]
    totals: list[tuple[object, ...]] = [("image", "objects", f"mean_length_{unit}", f"median_length_{unit}")]
    for name, objects in counted.items():
        lengths = [pixel * length(line) for line in lines_of(objects, _LINE_POINTS)]
        for number, (region, score, long) in enumerate(zip(objects.regions, objects.scores, lengths, strict=True), 1):
            rows.append((name, number, f"{score:.4f}", f"{long:.2f}", f"{pixel**2 * region.area:.2f}"))
        both = [f"{each(lengths):.2f}" for each in (fmean, median)] if lengths else ["", ""]
        totals.append((name, len(lengths), *both))
    for file, table in (("objects.csv", rows), ("counts.csv", totals)):
        with whole_file(output / file) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows(table)
