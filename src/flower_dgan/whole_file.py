"""Files that are complete or not there, whatever dies while they are written: process, machine, or room on the disk."""

import errno
import hashlib
import logging
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flower_dgan.errors import DataError, StorageError
from flower_dgan.printable import printable
from flower_dgan.private import private_file

logger = logging.getLogger(__name__)

if TYPE_CHECKING:  # commands import this before they know whether they need numpy
    from numpy.typing import NDArray

SOFTWARE = {"Software": "flower-dgan"}
"""What PNG files that are drawn here say of that."""

_WAITING = 16  # threads that wait for the disk
_LONGEST_NAME = 255  # bytes, of a file on what people have
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_file(path: Path, *, shared: bool = False, private: bool = False, durable: bool = True) -> Iterator[Path]:
    """Give a path beside a file to write to; what is there takes the file's place if the body raises nothing.

    Parameters
    ----------
    path : Path
        The file.
    shared : bool
        Whether another process may write the same file at the same time; then the last one stays.
    private : bool
        Whether its owner alone may read the file, whatever the umask. The body must write into what is there rather
        than put another file in its place.
    durable : bool
        Whether the file is on the disk when this returns, so that it is whole after a power cut too. False for what is
        made again where it is missing, and is verified when it is read.

    Yields
    ------
    Path
        The same but for a suffix ``.partial``. It is gone if the body raises an exception.

    Raises
    ------
    StorageError
        If the file cannot be written; names it, and says what to do.
    """
    partial = _beside(path, f"-{os.getpid()}" if shared else "")
    try:
        with writing(path):
            if private:
                private_file(partial)
            yield partial
            if durable:
                to_disk(partial, os.O_WRONLY)
            partial.replace(path)
            if durable:
                to_disk(path.parent, os.O_RDONLY)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str, *, durable: bool = True) -> None:
    """Add a line to a file, or several with their ends between them, whole or not at all.

    Parameters
    ----------
    path : Path
        The file; made where it is missing.
    line : str
        Without its end.
    durable : bool
        Whether it is on the disk when this returns, as for :func:`whole_file`.

    Raises
    ------
    StorageError
        If it cannot be written. The file is as it was then.
    """
    with writing(path), path.open("ab", buffering=0) as file:  # a buffer would write its rest when the file is closed
        before = file.tell()
        left = memoryview(f"{line}\n".encode("utf-8", "surrogateescape"))
        try:
            while left:
                left = left[file.write(left) :]
            if durable:
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # half a line would spoil the next one
                os.ftruncate(file.fileno(), before)
            raise


def checksum(parts: Mapping[str, "NDArray[Any]"]) -> str:
    """Return what tells whether named arrays are what was written: against damage, which is no attack."""
    found = 0
    for name, array in sorted(parts.items()):
        found = zlib.crc32(array.tobytes(), zlib.crc32(name.encode(), found))
    return f"{found:08x}"


def settle(folder: Path) -> None:
    """Wait until all files of a folder that were written without, one by one, being ``durable`` are on the disk.

    Raises
    ------
    StorageError
        If they cannot be.
    """
    with writing(folder):
        files = (file for file in folder.iterdir() if file.is_file())
        with ThreadPoolExecutor(_WAITING) as pool:  # a disk writes down what several wait for at once
            for _ in pool.map(lambda file: to_disk(file, os.O_RDONLY), files):
                pass
        to_disk(folder, os.O_RDONLY)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of a write in the body that fails which file or folder that was, and what to do.

    Parameters
    ----------
    path : Path
        What is written.

    Raises
    ------
    StorageError
        For an OSError in the body, and for the error that safetensors makes of one.
    """
    try:
        yield
    except OSError as error:
        raise not_written(path, error) from error
    except Exception as error:
        # safetensors' writer is in Rust, and makes an error of its own of the system's
        if type(error).__name__ == "SafetensorError" and (number := _number_in(str(error))):
            raise not_written(path, OSError(number, os.strerror(number))) from error
        raise


def not_written(path: Path, error: OSError) -> StorageError:
    """Return what to raise where a path cannot be written: which one, why, and what to do."""
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM or (error.errno is None and "written" in reason):  # numpy counts, and names no number
        what = f"Free space on the disk of {_shown(path.parent)}, then start the same again."
    elif error.errno == errno.ENAMETOOLONG:
        what = "Give a shorter name."
    else:
        what = f"Let this user write into {_shown(path.parent)}, or name another place."
    return StorageError(f"{_shown(path)} cannot be written: {reason}. {what}")


def _shown(path: Path) -> str:
    return printable(str(path.absolute()), None)


def _number_in(text: str) -> int:
    """Return the number of the system's error that Rust names at the end of its own, 0 where it names none."""
    _, found, rest = text.partition("os error ")
    digits = rest.partition(")")[0]
    return int(digits) if found and digits.isdecimal() else 0


def _beside(path: Path, mark: str) -> Path:
    name = f"{path.stem}{mark}.partial"
    if len(os.fsencode(name)) > _LONGEST_NAME >= len(os.fsencode(path.name)):
        name = f"{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}{mark}.partial"
    return path.with_name(name)


def whole_lines(path: Path) -> bytes:
    """Read what :func:`append_line` wrote up to the last whole line; what is cut off behind it is told in the log.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        whole, end, rest = path.read_bytes().rpartition(b"\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if rest:
        logger.warning("The last %d bytes of %s are no whole line, and not used.", len(rest), path)
    return whole + end


def to_disk(path: Path, flags: int) -> None:
    """Wait until a file, or what a directory lists, is on the disk; some file systems cannot say so of directories."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def no_file(path: Path) -> str | None:
    """Return what stands in the place of a file, such as ``"a named pipe"``; None for a file, or where nothing is.

    A link is what it leads to.

    Raises
    ------
    OSError
        If that cannot be seen.
    """
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def require_file(path: Path) -> Path:
    """Return a path that may be opened to read it; raises OSError where a pipe, say, would be waited for without end.

    A folder is left to whoever opens it, which has words of its own for it.
    """
    if (kind := no_file(path)) not in (None, _KINDS[stat.S_IFDIR]):
        raise OSError(errno.EINVAL, f"it is {kind} and no file", str(path))
    return path
