"""Images and labels in idx files, the format of MNIST, found by their names and read by torchvision."""

import gzip
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.pairs import Pixels
from flower_dgan.errors import DataError
from flower_dgan.whole_file import no_file

# Such as train-images-idx3-ubyte and t10k-labels-idx1-ubyte.gz.
_NAME = re.compile(r"(?P<part>.+)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?")


@dataclass(frozen=True)
class IdxPart:
    """One pair of files.

    Attributes
    ----------
    images : uint8 array (n, height, width)
        Grey.
    labels : int64 array (n,)
        Class of each image.
    """

    images: Pixels
    labels: NDArray[np.int64]


def find_parts(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Find the files of images and labels that belong together, packed by gzip or not.

    Parameters
    ----------
    folder : Path
        Where to look; it need not exist.

    Returns
    -------
    dict of str to (Path, Path)
        Images and labels of each part, such as ``train`` and ``t10k``, in alphabetical order.

    Raises
    ------
    DataError
        If there are images without labels or labels without images.
    """
    found: dict[str, dict[str, Path]] = {}
    # In reverse, so that of a file that is there twice the unpacked one is taken.
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            found.setdefault(match["part"], {})[match["kind"]] = path
    for part, files in sorted(found.items()):
        if len(files) == 1:
            kind, path = next(iter(files.items()))
            lacking = "labels" if kind == "images" else "images"
            raise DataError(f"{path} has no {part}-{lacking} beside it: add that file, or move this one away.")
    return {part: (files["images"], files["labels"]) for part, files in sorted(found.items())}


def read_part(images: Path, labels: Path, classes: int) -> IdxPart:
    """Read a pair of files.

    Parameters
    ----------
    images, labels : Path
        The files.
    classes : int
        Number of classes that there may be.

    Raises
    ------
    DataError
        If a file is no idx file or cut short, if their numbers differ, or if a label is no class.
    """
    # Imported here: torchvision takes a second, which a run on other data need not wait.
    from torchvision.datasets.mnist import read_image_file, read_label_file  # type: ignore[import-untyped]

    read = []
    for path in (images, labels):
        if found := no_file(path):
            raise DataError(f"{path} is {found} and no file: get it again.")
    for kind, path, reader in (("images", images, read_image_file), ("labels", labels, read_label_file)):
        try:
            with _unpacked(path) as file:
                read.append(reader(str(file)).numpy())
        # What the reader and gzip raise for files of another kind or length.
        except (AssertionError, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError, zlib.error) as error:
            raise DataError(f"{path} is no whole idx file of {kind}: get it again.") from error
    part = IdxPart(*read)
    if len(part.images) != len(part.labels):
        raise DataError(
            f"{images} has {len(part.images)} images, and {labels} {len(part.labels)} labels: get them again."
        )
    if part.labels.max() >= classes:
        raise DataError(f"{labels} has the label {part.labels.max()}, but labels are 0 .. {classes - 1}.")
    return part


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Give the file as torchvision reads it: not packed."""
    if path.suffix != ".gz":
        yield path
        return
    with TemporaryDirectory() as scratch:
        unpacked = Path(scratch) / path.stem
        with gzip.open(path) as packed, unpacked.open("wb") as file:
            shutil.copyfileobj(packed, file)
        yield unpacked
