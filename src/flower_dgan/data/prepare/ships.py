"""Ships from space: the images of Kaggle's Airbus Ship Detection Challenge (2018), 768 x 768 pixels.

``train_ship_segmentations_v2.csv`` has a line a ship: ``ImageId,EncodedPixels`` with the ship's runs, or nothing for an
image without one.
"""

import csv
from functools import partial
from pathlib import Path

import numpy as np

from flower_dgan.data.image_files import read_image
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.prepare.layouts import files_of, find_folders
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, name_pair
from flower_dgan.data.splits import some
from flower_dgan.data.text_files import read_rows
from flower_dgan.errors import DataError

_TABLE = "train_ship_segmentations_v2.csv"
_COLUMNS = ("ImageId", "EncodedPixels")
_DIGITS = 18  # no pixel has a number of more


def find_ships(root: Path) -> Found:
    """Find the training images; the test images of the challenge have no labels. Each image is a group of its own."""
    folder, table = find_folders(root, ["train_v2", _TABLE], f"the unpacked download: train_v2/*.jpg and {_TABLE}.")
    runs = _read_table(table)
    nested = folder / folder.name
    images = files_of(nested if nested.is_dir() else folder, ".jpg")
    if alone := set(images) ^ set(runs):
        raise DataError(
            f"{len(alone):,} names are only in one of {folder} and {table}: {some(alone)}. Unpack both again."
        )
    originals = [
        Original(f"train_v2/{name}", name_pair(None, "ships", path.stem, "0"), partial(_read, path, runs[name]))
        for name, path in images.items()
    ]
    return Found(tuple(originals), ("background", "ship"))


def decode_runs(texts: list[str], height: int, width: int) -> Pixels:
    """Draw the union of run-length encoded objects.

    Parameters
    ----------
    texts : list of str
        Each ``start length start length ...``; pixels are counted from 1, down the first column, then down the next.
    height, width : int
        Of the image.

    Returns
    -------
    uint8 array (height, width)
        1 where there is an object.

    Raises
    ------
    DataError
        If a text is no list of pairs, or a run leaves the image.
    """
    column_by_column = np.zeros(height * width, np.uint8)
    for text in texts:
        numbers = text.split()
        if len(numbers) % 2 or not all(number.isdecimal() and len(number) <= _DIGITS for number in numbers):
            raise DataError(f"'{text[:60]}' is no list of run starts and lengths.")
        for start, length in zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True):
            if start < 1 or length < 1 or start - 1 + length > height * width:
                raise DataError(
                    f"The run of {length} pixels from {start} leaves an image of {height} x {width} pixels."
                )
            column_by_column[start - 1 : start - 1 + length] = 1
    return column_by_column.reshape(width, height).T


def _read_table(path: Path) -> dict[str, list[str]]:
    runs: dict[str, list[str]] = {}
    try:
        header, *rows = read_rows(path, _COLUMNS) or [[]]
        name, pixels = map(header.index, _COLUMNS)
        for row in rows:
            texts = runs.setdefault(row[name], [])
            if row[pixels]:
                texts.append(row[pixels])
    except (OSError, UnicodeError, csv.Error, ValueError, IndexError) as error:
        raise DataError(f"{path} is no table with the columns ImageId and EncodedPixels: {error}.") from error
    return runs


def _read(path: Path, runs: list[str]) -> list[tuple[str, OriginalPair]]:
    image = read_image(path, 3)
    try:
        mask = decode_runs(runs, image.shape[0], image.shape[1])
    except DataError as error:
        raise DataError(f"{_TABLE}, {path.name}: {error}") from error
    return [("", OriginalPair(image, mask))]
