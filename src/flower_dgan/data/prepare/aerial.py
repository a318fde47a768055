"""Buildings and roads from the air: City-OSM, and the WHU building data set."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from flower_dgan.data.image_files import open_image, read_image, read_mask, sound_files
from flower_dgan.data.prepare.files import find_folders, match_stems, to_class_ids, visible
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings, name_pair
from flower_dgan.data.text_files import same_name
from flower_dgan.errors import DataError

_WHITE_RED_BLUE = ("#ffffff", "#ff0000", "#0000ff")
_WHU_SPLITS: Mapping[str, Literal["tr", "te"]] = MappingProxyType({"train": "tr", "val": "tr", "test": "te"})


def find_city_osm(root: Path, settings: PrepareSettings) -> Found:
    """Find the images of Kaiser et al., "Learning Aerial Image Segmentation from Online Maps", IEEE TGRS 2017.

    One folder a city, with ``<city><number>_image.png`` and ``<city><number>_labels.png``: white for background, red
    for buildings, blue for roads, from OpenStreetMap. The site is the city, the group the image.
    """
    images, labels = (
        {same_name(path.name.removesuffix(ending)): path for path in visible(root.glob(f"*/*{ending}"))}
        for ending in ("_image.png", "_labels.png")
    )
    if not images:
        raise DataError(
            f"{root.absolute()} has no <city>/<city>1_image.png: unpack berlin.zip, chicago.zip, ... of the data set "
            "here, one folder a city."
        )
    match_stems(images, labels, "labels")
    palette = _WHITE_RED_BLUE
    originals = [
        Original(
            source=str(path.relative_to(root)),
            stem=name_pair(None, path.parent.name, name, "0"),
            read=partial(_read_colours, path, labels[name], palette, settings.nearest_colour),
        )
        for name, path in images.items()
    ]
    return Found(tuple(originals), ("background", "building", "road"))


def find_whu(root: Path) -> Found:
    """Find the aerial images of the WHU building data set.

    Ji, Wei and Lu, "Fully Convolutional Networks for Multisource Building Extraction from an Open Aerial and Satellite
    Imagery Data Set", IEEE TGRS 2019.

    ``train``, ``val`` and ``test``, each with ``image`` and ``label`` (0 and 255) of 512 x 512 pixels. Training and
    validation are for training. All are of one city and of one site.
    """
    layout = "train/image, train/label, val/image, val/label, test/image and test/label, with files of equal names."
    originals = []
    for split, side in _WHU_SPLITS.items():
        folders = find_folders(root, [f"{split}/image", f"{split}/label"], layout)
        images, labels = map(sound_files, folders)
        match_stems(images, labels, "label")
        originals += [
            Original(
                source=str(path.relative_to(root)),
                stem=name_pair(side, "christchurch", f"{split}-{name}", "0"),
                read=partial(_read_mask, path, labels[name]),
            )
            for name, path in images.items()
        ]
    return Found(tuple(originals), ("background", "building"))


def _read_colours(image: Path, labels: Path, palette: tuple[str, ...], nearest: bool) -> list[tuple[str, OriginalPair]]:
    mask = to_class_ids(open_image(labels, 3), palette, nearest, str(labels))
    return [("", OriginalPair(open_image(image, 3), mask))]


def _read_mask(image: Path, label: Path) -> list[tuple[str, OriginalPair]]:
    values = read_mask(label)
    if other := sorted(set(np.unique(values).tolist()) - {0, 255}):
        raise DataError(f"{label} holds {other[:8]} besides 0 and 255: get the file again.")
    return [("", OriginalPair(read_image(image, 3), (values > 0).astype(np.uint8)))]
