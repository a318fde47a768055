"""Scenes: LSUN, where torchvision keeps it.

Yu et al., "LSUN: Construction of a Large-scale Image Dataset using Deep Learning with Humans in the Loop", 2015.

The databases are read without torchvision, which leaves a pickled list of keys in the working directory and takes it
for that of any other folder whose path has the same letters.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from flower_dgan.data.picture_checks import IMAGE_MODES, check_picture
from flower_dgan.data.picture_files import opened
from flower_dgan.data.picture_windows import LoadedPicture
from flower_dgan.data.prepare.layouts import content_of, visible
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, name_pair
from flower_dgan.data.prepare.requirements import require
from flower_dgan.errors import DataError, reason_of
from flower_dgan.whole_file import require_file

_SPLITS: Mapping[str, Literal["tr", "te"]] = MappingProxyType({"train": "tr", "val": "te"})


def find_lsun(root: Path) -> Found:
    """Find the images of all categories; no masks.

    One folder a category and split, such as ``church_outdoor_train_lmdb``: an LMDB database with a JPEG or WebP file a
    key. The site is the category, validation is the test, and each image a group of its own.
    """
    folders = {split: visible(root.glob(f"*_{split}_lmdb")) for split in _SPLITS}
    if not all(folders.values()):
        missing = " and no ".join(f"<category>_{split}_lmdb" for split, found in folders.items() if not found)
        raise DataError(
            f"{root.absolute()} has no {missing}. Expected is a folder with the unpacked zip files of the categories, "
            "such as church_outdoor_train_lmdb.zip and church_outdoor_val_lmdb.zip; validation becomes the test. "
            f"{content_of(root)}"
        )
    originals = []
    for split, of_split in folders.items():
        for folder in of_split:
            category = folder.name.removesuffix(f"_{split}_lmdb")
            for key in _keys(folder):
                name = key.decode("ascii", "backslashreplace")
                stem = name_pair(_SPLITS[split], category, name, "0")
                originals.append(Original(f"{folder.name}/{name}", stem, partial(_read, folder, key)))
    return Found(tuple(originals), ())


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[Any, Any]]:
    """Open a database for reading; yields its environment and a transaction, and raises DataError for LMDB's errors."""
    lmdb = require("lmdb", "lsun", "data prepare lsun")
    try:
        with (
            lmdb.open(
                str(require_file(folder / "data.mdb").parent), readonly=True, lock=False, readahead=False
            ) as environment,
            environment.begin() as transaction,
        ):
            yield environment, transaction
    except (lmdb.Error, OSError) as error:
        raise DataError(
            f"{folder} cannot be read as LMDB ({reason_of(error)}): unpack {folder.name}.zip again."
        ) from error


def _keys(folder: Path) -> list[bytes]:
    """Return all keys in their order; raises DataError if the file is cut off, which reading would crash on."""
    with _opened(folder) as (environment, transaction):
        there, due = (folder / "data.mdb").stat().st_size, _used_bytes(environment)
        if there < due:
            raise DataError(f"{folder / 'data.mdb'} has {there:,} of {due:,} bytes: unpack {folder.name}.zip again.")
        return list(transaction.cursor().iternext(values=False))


def _used_bytes(environment: Any) -> int:
    pages: int = environment.info()["last_pgno"] + 1
    return pages * int(environment.stat()["psize"])


def _read(folder: Path, key: bytes) -> list[tuple[str, OriginalPair]]:
    with _opened(folder) as (_, transaction):
        content = transaction.get(key)
    name = folder / key.decode("ascii", "backslashreplace")
    with opened(name, ("JPEG", "WEBP"), content, f"unpack {folder.name}.zip again") as image:
        check_picture(image, name, IMAGE_MODES)
        return [("", OriginalPair(LoadedPicture(image, "RGB"), None))]
