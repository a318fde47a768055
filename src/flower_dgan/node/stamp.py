"""What tells a file from what it was before, without opening it."""

from pathlib import Path

Stamp = tuple[int, int, int, int, int] | None
"""Device, inode, bytes, and when content and entry last changed in ns; None where there is no such file."""


def stamp(path: Path) -> Stamp:
    """Return the stamp of a file, or of what a link leads to."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
