"""Whether what a node keeps can be written, before a training finds out."""

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
