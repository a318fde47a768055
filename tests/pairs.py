"""Tiny pairs for tests."""

from pathlib import Path

import numpy as np
from PIL import Image


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
