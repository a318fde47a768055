"""Oxford-IIIT Pet: Parkhi et al., "Cats and Dogs", CVPR 2012, in the folder where torchvision keeps it or unpacked."""

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from flower_dgan.data.image_files import read_image, read_mask
from flower_dgan.data.prepare.layouts import find_folders
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, name_pair
from flower_dgan.data.text_files import read_text
from flower_dgan.errors import DataError

_SPLITS: tuple[tuple[str, Literal["tr", "te"]], ...] = (("trainval.txt", "tr"), ("test.txt", "te"))
_SPECIES = {"1": "cat", "2": "dog"}
# Trimap values 1, 2 and 3 are pet, background and border.
_CLASS_OF = np.array([255, 1, 0, 2], np.uint8)


def find_pets(root: Path) -> Found:
    """Find the images that the lists name; the site is the species, each image a group of its own."""
    base = root / "oxford-iiit-pet" if (root / "oxford-iiit-pet").is_dir() else root
    images, annotations = find_folders(
        base,
        ["images", "annotations"],
        "images/*.jpg and annotations/{trimaps/*.png,trainval.txt,test.txt}, of images.tar.gz and annotations.tar.gz.",
    )
    originals = []
    for file, split in _SPLITS:
        try:
            lines = read_text(annotations / file).splitlines()
        except (OSError, UnicodeError) as error:
            raise DataError(
                f"{annotations / file} cannot be read ({error}): unpack annotations.tar.gz again."
            ) from error
        for line in lines:
            words = line.split()
            if not words:
                continue
            if len(words) != 4 or words[2] not in _SPECIES:
                raise DataError(f"{annotations / file}: '{line}' is no image, class, species and breed.")
            image, trimap = images / f"{words[0]}.jpg", annotations / "trimaps" / f"{words[0]}.png"
            read = partial(_read, image, trimap)
            originals.append(
                Original(f"images/{image.name}", name_pair(split, _SPECIES[words[2]], words[0], "0"), read)
            )
    return Found(tuple(originals), ("background", "pet", "border"))


def _read(image: Path, trimap: Path) -> list[tuple[str, OriginalPair]]:
    values = read_mask(trimap)
    if values.min() < 1 or values.max() > 3:
        raise DataError(f"{trimap} holds other values than 1, 2 and 3: unpack annotations.tar.gz again.")
    return [("", OriginalPair(read_image(image, 3), _CLASS_OF[values]))]
