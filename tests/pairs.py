"""Tiny pairs for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from flower_dgan.data import open_source
from flower_dgan.data.array_files import write_image
from flower_dgan.resolve import resolve


def write_digits(root: Path, sites: Sequence[str], channels: int = 1) -> None:
    """Write real handwritten digits, dealt out among sites, with the layout and names of folders.

    Channel k shows them after k quarter turns.
    """
    source = open_source(resolve("").data)
    for split, entries in (("tr", source.train[:180]), ("te", source.test[:60])):
        pairs = source.load(entries)
        for number, (image, label_map) in enumerate(zip(pairs.images, pairs.label_maps, strict=True)):
            name = f"{split}_{sites[number % len(sites)]}_{split}{number}_0"
            turned = [np.rot90(image, turns) for turns in range(channels)]
            write_image(np.concatenate(turned, axis=2), root / "images", name)
            write_image(label_map * np.uint8(255), root / "masks", name)


def make_folder(root: Path, *, sites: int = 2, images: int = 5, size: int = 64) -> Path:
    """Write tiny pairs with the layout and names of the real ones."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for split, count in (("tr", images), ("te", 2)):
        for site in range(sites):
            for number in range(count):
                name = f"{split}_site{site}_{split}{number}_0.png"
                mask = (rng.random((size, size)) > 0.7).astype(np.uint8)
                image = rng.integers(0, 120, (size, size, 3), dtype=np.uint8) + mask[..., None] * np.uint8(100)
                Image.fromarray(image).save(root / "images" / name)
                Image.fromarray(mask * np.uint8(255)).save(root / "masks" / name)
    return root
