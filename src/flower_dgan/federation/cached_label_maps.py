"""The server's cache of the clients' label maps: private, and forgotten when nobody uses it.

Label maps are data of the clients: who has one can find the image that it is of. So the cache is for the user alone who
runs the server, also what an earlier version or another umask left there, and ends.
"""

import os
import time
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from flower_dgan.data import PackedLabelMaps
from flower_dgan.errors import ConfigError, StorageError
from flower_dgan.private import private_directory
from flower_dgan.whole_file import whole_file, writing

KEPT_DAYS = 30
"""Days after its last use that an entry is deleted, when a run starts."""


def tidy(cache: Path) -> None:
    """Take the cache from other users, and delete what no run used for :data:`KEPT_DAYS` days.

    Parameters
    ----------
    cache : Path
        The directory; nothing happens where it is not there.

    Raises
    ------
    ConfigError
        If it is not the user's own to change.
    """
    if not cache.is_dir():
        return
    end = time.time() - KEPT_DAYS * 24 * 3600
    try:
        private_directory(cache)
        for file in cache.iterdir():
            if file.lstat().st_mtime < end:
                file.unlink(missing_ok=True)  # another run may do the same
            else:
                file.chmod(0o600)
    except FileNotFoundError:  # another run was faster
        return
    except OSError as error:
        raise ConfigError(
            f"The cache of the clients' label maps cannot be made private: {error}. Delete {cache}, or set "
            "XDG_CACHE_HOME to a directory of your own."
        ) from error


def write_cached(path: Path, packed: PackedLabelMaps) -> None:
    """Write an entry, and the cache's directory where there is none; both are for the user alone.

    Raises StorageError if that cannot be.
    """
    try:
        with writing(path):
            private_directory(path.parent)
        with whole_file(path, shared=True, private=True) as partial, partial.open("wb") as file:
            np.savez(file, data=np.frombuffer(packed.data, np.uint8), shapes=packed.shapes, classes=packed.classes)
    except StorageError as error:
        raise StorageError(f"{error} XDG_CACHE_HOME names the place of this cache.") from error


def read_cached(path: Path) -> PackedLabelMaps:
    """Read an entry, which counts as its use; raises StorageError if it is damaged."""
    try:
        os.utime(path)
        with np.load(path, allow_pickle=False) as arrays:
            return PackedLabelMaps(arrays["data"].tobytes(), arrays["shapes"], int(arrays["classes"]))
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise StorageError(f"{path} cannot be read: {error}. Delete it, and start the run again.") from error
