"""Tiny idx files for tests."""

import gzip
import struct
from pathlib import Path

import numpy as np


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write an array of uint8: two zero bytes, type 8, the number of sides, each side in four bytes, and the values."""
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_part(folder: Path, part: str, labels: list[int], suffix: str = "") -> np.ndarray:
    """Write images of 28 x 28 with a bright square each, and their labels."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 8:20, 8:20] = 200
    images[:, 0, 0] = np.arange(len(labels))
    write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", np.array(labels))
    return images
