"""Files and directories that other users of the machine cannot read, whatever the umask."""

import os
from pathlib import Path


def private_directory(path: Path) -> None:
    """Make a directory that its owner alone may enter, or make one that is there so; parents are made as usual."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def private_file(path: Path) -> None:
    """Make an empty file that its owner alone may read, or empty one that is there, before anything is in it."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
