"""Whether what a node keeps can be written, before a training finds out; and what to do where it cannot."""

import errno
import tempfile
from pathlib import Path

from flower_dgan.errors import StorageError


def nearest(path: Path) -> Path:
    """Return the path, or the nearest of what it would be made in that there is."""
    while not path.exists():
        path = path.parent
    return path


def require_writable(path: Path) -> None:
    """Raise StorageError unless this user can change what is there, or make what is not; nothing is left behind."""
    try:
        there = nearest(path)
        if there == path and path.is_file():
            with path.open("r+b"):
                return
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        raise StorageError(
            f"This user cannot write {path}: {error.strerror}. Look as the user of the node, with the node's "
            "XDG_STATE_HOME, and let that user write there."
        ) from error


def cannot_keep(what: str, path: Path, error: OSError) -> str:
    """Return one line about what a node cannot keep: where that was to be, why, and what to do.

    Parameters
    ----------
    what : str
        Such as ``"pairs"``.
    path : Path
        The file or directory.
    error : OSError
        What was raised of it.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or error.errno is None
    to_do = "Free space there" if full else "Let its user write there, or name another place with XDG_STATE_HOME"
    return f"The node cannot keep its {what} in {path}: {error.strerror or error}. {to_do}"
