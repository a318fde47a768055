"""Whether a process works in a run directory, without touching the lock that it holds."""

import os
from pathlib import Path


def is_locked(file: Path) -> bool | None:
    """Return whether a process of this machine holds ``flock`` on a file; None where the system does not tell.

    Nor does it tell where a file system without a device of its own, as btrfs, gives its files another device than the
    kernel's list has: the lock on a file of the same number may be on another one.

    The kernel's list is read: to try the lock would for a moment keep a run that starts from having it.
    """
    try:
        state = file.stat()
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    held = [line.split() for line in lines if "FLOCK" in line and "->" not in line]
    places = [field.split(":") for fields in held for field in fields if field.count(":") == 2]
    devices = {(int(major, 16), int(minor, 16)) for major, minor, inode in places if inode == str(state.st_ino)}
    if (os.major(state.st_dev), os.minor(state.st_dev)) in devices:
        return True
    return None if devices and os.major(state.st_dev) == 0 else False
