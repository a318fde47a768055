"""Whether a process works in a run directory, without touching the lock that it holds."""

from pathlib import Path


def is_locked(file: Path) -> bool | None:
    """Return whether a process of this machine holds ``flock`` on a file; None where the system does not tell.

    The kernel's list is read: to try the lock would for a moment keep a run that starts from having it.
    """
    try:
        inode = str(file.stat().st_ino)
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = [line.split() for line in lines]
    return any("FLOCK" in each and each[1] != "->" and inode in _inodes(each) for each in fields)


def _inodes(fields: list[str]) -> list[str]:
    return [field.rsplit(":", 1)[1] for field in fields if field.count(":") == 2]
