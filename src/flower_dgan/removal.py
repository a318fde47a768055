"""Removing what this program wrote, and nothing else: no link is followed, and nothing that is in use goes."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flower_dgan.errors import ConfigError, StorageError
from flower_dgan.printable import printable

LOCK = "lock"
"""What the lock of a directory is called, of a run's as of a node's."""


@dataclass(frozen=True)
class Found:
    """What is at a place.

    Attributes
    ----------
    path : Path
        A file or directory.
    files : int
        How many there are in all.
    bytes : int
        Of all files.
    changed : float
        When the newest of them, or of the directories, was changed, in seconds since 1970.
    """

    path: Path
    files: int
    bytes: int
    changed: float


def survey(path: Path, *, links: bool = False) -> Found:
    """Look at a file, or a directory with all that is in it, before it is removed.

    Parameters
    ----------
    path : Path
        What is looked at. It is to be on the file system of the directory that it is in: a disk that somebody put there
        is somebody's.
    links : bool
        Whether links in it, but not itself, are no surprise: each is removed as a link, and what it leads to stays.

    Raises
    ------
    ConfigError
        If anything there is a link, no plain file or directory, on another file system, or another user's: this program
        made none of these, and whoever did may want it to be followed to what is elsewhere.
    """
    files = size = 0
    changed = 0.0
    waiting = [path]
    try:
        device = path.absolute().parent.stat().st_dev
        while waiting:
            each = waiting.pop()
            seen = each.lstat()
            _require_ours(each, seen, device, links and each != path)
            changed = max(changed, seen.st_mtime)
            if stat.S_ISDIR(seen.st_mode):
                waiting += each.iterdir()
            else:
                files, size = files + 1, size + seen.st_size
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be looked at: {error.strerror}. Nothing in it was removed.") from error
    return Found(path, files, size, changed)


def _require_ours(path: Path, seen: os.stat_result, device: int, links: bool) -> None:
    is_link = stat.S_ISLNK(seen.st_mode)
    if is_link and not links:
        what = "is a link"
    elif not (is_link or stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode)):
        what = "is neither a file nor a directory"
    elif seen.st_uid != os.geteuid():
        what = "belongs to another user"
    elif seen.st_dev != device:
        what = "is on another file system"
    else:
        return
    raise ConfigError(
        f"{shown(path)} {what}, which flower-dgan never makes there. Nothing was removed: look at it, and take it away "
        "by hand."
    )


@contextmanager
def unused(directory: Path) -> Iterator[None]:
    """Keep other processes out of a directory inside; raises ConfigError if one works there."""
    import fcntl  # which Windows has not: the other commands are to begin there

    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise ConfigError(f"{shown(directory / LOCK)} cannot be opened: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"A process works in {shown(directory)}: end its run, and try again.") from error
        yield
    finally:
        os.close(descriptor)


def remove(path: Path, first: str | None = None) -> None:
    """Remove a file, or a directory with all that is in it.

    Parameters
    ----------
    path : Path
        What was surveyed.
    first : str or None
        Name of the file in it without which nobody takes it for whole: it goes first. The lock goes last.

    Raises
    ------
    StorageError
        If something of it cannot be removed.
    """
    try:
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            return
        if first is not None:
            (path / first).unlink(missing_ok=True)
        for each in path.iterdir():
            if each.name != LOCK:
                remove(each)
        shutil.rmtree(path)
    except OSError as error:
        raise StorageError(
            f"{shown(Path(error.filename or path))} cannot be removed: {error.strerror}. Let this user write there, "
            "and give the same command again."
        ) from error


def shown(path: Path) -> str:
    """Return a path as a line of text can have it, whatever its name is."""
    return printable(str(path.absolute()), None)
