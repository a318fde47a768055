"""Nematodes in wells of a plate, which lie over each other: BBBC010 of the Broad Bioimage Benchmark Collection.

Ljosa et al., "Annotated high-throughput microscopy image sets for validation", Nature Methods 2012. A well has a
bright-field image ``*_<well>_w2_*.tif`` of 16 bits, and a mask a worm, ``<well>_<nn>_ground_truth.png``, in which it is
whole. The split is that of PatchPerPix (Hirsch et al. 2020): wells A01 to C02 to train, C03 to E04 to test.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.class_maps import CLASSES, class_map
from flower_dgan.data.coco_annotations import CocoFile
from flower_dgan.data.image_files import SUFFIXES
from flower_dgan.data.object_files import read_object
from flower_dgan.data.object_masks import Bits, of_stack
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.prepare.files import read_samples
from flower_dgan.data.prepare.layouts import content_of, visible
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings, Samples, name_pair
from flower_dgan.data.prepare.pixels import to_uint8
from flower_dgan.data.splits import some
from flower_dgan.errors import ConfigError, DataError

_SHAPE = (520, 696)
WELL = (slice(40, 520), slice(112, 592))
"""The part of an image in which every worm of every well lies, 480 x 480 pixels."""
_RANGE = (80.0, 3100.0)
"""What becomes 0 and 255 of 16 bits: nearly all pixels of all wells."""
_LAST_TO_TRAIN = "C02"
_IMAGE = re.compile(r"(?:^|_)(?P<well>[A-P]\d\d)(?:_w2_.*)?\.[a-z]+$", re.IGNORECASE)
_MASK = re.compile(r"(?P<well>[A-P]\d\d)_(?P<number>\d+)_ground_truth\.png$", re.IGNORECASE)
Worms = tuple[Bits, tuple[bool, ...]]
"""Masks (worms, height, width), and which of them are crowds; empty where none is."""
_LAYOUT = (
    "the folder of the download, with images *_w2_*.tif and masks <well>_<nn>_ground_truth.png anywhere in it, or one "
    "with images/ and an annotation file of COCO beside it. Without any mask, images *_w2_*.tif become images alone."
)


def find_bbbc010(root: Path, settings: PrepareSettings) -> Found:
    """Find the wells; the site is the half of the plate, in one of which worms are curved and in the other straight.

    Images and objects are written at half size, 240 x 240 pixels, and masks are class maps drawn from the objects; with
    ``masks="binary"`` they are the foreground alone. Without any mask images are written alone, to predict.
    """
    if settings.tile is not None or settings.size is not None:
        raise ConfigError("bbbc010 is written at half size, each well whole: leave --tile and --size out.")
    annotations = sorted(visible(root.glob("*.json")))
    images, readers = _of_coco(root, annotations) if annotations else _of_download(root)
    if not images:
        raise DataError(f"{root.absolute()} has no well with image and masks. Expected is {_LAYOUT} {content_of(root)}")
    if not readers:
        alone = [
            Original(
                str(path.relative_to(root)),
                name_pair(None, _half(well), well, "0"),
                partial(_read_image, path, settings),
            )
            for well, path in sorted(images.items())
        ]
        return Found(tuple(alone), ())
    binary = settings.masks == "binary"
    originals = [
        Original(
            source=str(path.relative_to(root)),
            stem=name_pair("tr" if well <= _LAST_TO_TRAIN else "te", _half(well), well, "0"),
            read=partial(_read, path, readers[well], settings, binary),
        )
        for well, path in sorted(images.items())
    ]
    return Found(tuple(originals), ("background", "worm") if binary else tuple(CLASSES), category="worm")


def halved(masks: Bits) -> Bits:
    """Return masks (..., height, width) at half size: what at least two of four pixels are."""
    return _means(masks.astype(np.float32)) >= 0.5


def _of_download(root: Path) -> tuple[dict[str, Path], Mapping[str, Callable[[], Worms]]]:
    images = _by_well(path for path in root.rglob("*_w2_*") if path.suffix.lower() in SUFFIXES)
    masks: dict[str, list[Path]] = {}
    for path in visible(root.rglob("*_ground_truth.png")):
        if found := _MASK.search(path.name):
            masks.setdefault(found["well"].upper(), []).append(path)
    # Three wells of the public set lack an image where copies of it are kept; one without masks cannot be used.
    if bare := sorted(str(path) for well, path in images.items() if masks and well not in masks):
        raise DataError(f"No masks <well>_<nn>_ground_truth.png for {some(bare)}: add them, or remove the image.")
    return images, {well: partial(_stack, paths) for well, paths in masks.items()}


def _of_coco(root: Path, annotations: list[Path]) -> tuple[dict[str, Path], Mapping[str, Callable[[], Worms]]]:
    if len(annotations) > 1:
        raise DataError(f"{root.absolute()} holds several JSON files, {some(map(str, annotations))}: leave one there.")
    file = CocoFile(annotations[0])
    folder = root / "images" if (root / "images").is_dir() else root
    images = _by_well(path for path in visible(folder.iterdir()) if path.suffix.lower() in SUFFIXES)
    if lacking := sorted(str(path) for path in images.values() if path.stem not in file.images):
        raise DataError(f"{annotations[0]} lists no {some(lacking)}: add the image to it, or remove its file.")
    return images, {well: partial(_listed, file, path.stem) for well, path in images.items()}


def _by_well(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in visible(paths):
        if not (match := _IMAGE.search(path.name)):
            raise DataError(f"{path} names no well such as A01: rename or remove it.")
        if (well := match["well"].upper()) in found:
            raise DataError(f"{found[well]} and {path} are of one well: remove one of them.")
        found[well] = path
    return found


def _stack(paths: list[Path]) -> Worms:
    masks = [read_object(path) for path in paths]
    if odd := [path for path, mask in zip(paths, masks, strict=True) if mask.shape != _SHAPE]:
        raise DataError(f"{odd[0]} is not {_SHAPE[0]} x {_SHAPE[1]} pixels: get it again.")
    return np.stack(masks), ()


def _listed(file: CocoFile, stem: str) -> Worms:
    objects = file.objects(stem)
    return objects.stack(), objects.crowds


def _read(
    path: Path, objects: Callable[[], Worms], settings: PrepareSettings, binary: bool
) -> list[tuple[str, OriginalPair]]:
    samples, (masks, crowds) = read_samples(path), objects()
    if samples.shape != _SHAPE or masks.shape[1:] != _SHAPE:
        raise DataError(
            f"{path} is {' x '.join(map(str, samples.shape))} pixels and its masks {masks.shape[1]} x "
            f"{masks.shape[2]}; grey images of {_SHAPE[0]} x {_SHAPE[1]} are wanted: get them again."
        )
    small = halved(masks[:, *WELL])
    if not len(small) or not small.any((1, 2)).all():
        raise DataError(f"{path} has no worm, or one outside of the well: get its masks again.")
    found = replace(of_stack(small), crowds=crowds)
    mask: Pixels = (found.depth() > 0).astype(np.uint8) if binary else class_map(found)
    return [("", OriginalPair(_small_image(samples, settings, path), mask, objects=found))]


def _read_image(path: Path, settings: PrepareSettings) -> list[tuple[str, OriginalPair]]:
    samples = read_samples(path)
    if samples.shape != _SHAPE:
        raise DataError(
            f"{path} is {' x '.join(map(str, samples.shape))} pixels; grey images of {_SHAPE[0]} x "
            f"{_SHAPE[1]} are wanted."
        )
    return [("", OriginalPair(_small_image(samples, settings, path), None))]


def _small_image(samples: Samples, settings: PrepareSettings, path: Path) -> Pixels | NDArray[np.float32]:
    """Return the well at half size; with ``--range`` in its own units, which whoever writes it brings to 0 and 255."""
    if settings.value_range is not None:
        return _means(samples[WELL].astype(np.float32))
    grey, _ = to_uint8(samples, None if samples.dtype == np.uint8 else _RANGE, str(path))
    return np.rint(_means(grey[WELL].astype(np.float32))).astype(np.uint8)


def _means(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each two by two pixels of (..., height, width)."""
    height, width = array.shape[-2:]
    means: NDArray[np.float32] = array.reshape(*array.shape[:-2], height // 2, 2, width // 2, 2).mean((-3, -1))
    return means


def _half(well: str) -> str:
    return "c01-12" if int(well[1:]) <= 12 else "c13-24"
