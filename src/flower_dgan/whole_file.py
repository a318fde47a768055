"""Files that are complete or not there, whatever dies while they are written: process, machine, or room on the disk."""

import errno
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flower_dgan.errors import ConfigError, StorageError
from flower_dgan.printable import printable
from flower_dgan.private import private_file

if TYPE_CHECKING:  # commands import this before they know whether they need numpy
    from numpy.typing import NDArray

SOFTWARE = {"Software": "flower-dgan"}
"""What PNG files that are drawn here say of that."""

_LONGEST_NAME = 255  # bytes, of a file on what people have
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
                _to_disk(partial, os.O_WRONLY)
            partial.replace(path)
            if durable:
                _to_disk(path.parent, os.O_RDONLY)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str, *, durable: bool = True) -> None:
    """Add a line to a file, whole or not at all.

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
    with writing(path), path.open("ab") as file:
        before = file.tell()
        try:
            file.write(f"{line}\n".encode())
            file.flush()
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
        for file in folder.iterdir():
            if file.is_file():
                _to_disk(file, os.O_RDONLY)
        _to_disk(folder, os.O_RDONLY)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside a new one to write to, which takes its place if the body raises nothing.

    Parameters
    ----------
    path : Path
        Not there, or empty.

    Yields
    ------
    Path
        The folder with a suffix ``.partial``, empty. It is gone if the body raises an exception.

    Raises
    ------
    ConfigError, StorageError
        As :func:`require_new_folder`; if the folder cannot be put in its place.
    """
    require_new_folder(path)
    whole = path.absolute()
    partial = whole.with_name(f".{hashlib.sha256(os.fsencode(whole.name)).hexdigest()[:12]}-{os.getpid()}.partial")
    try:
        with writing(whole):
            partial.mkdir(parents=True)
        yield partial
        with writing(whole):
            partial.replace(whole)
            _to_disk(whole.parent, os.O_RDONLY)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def require_new_folder(path: Path) -> None:
    """Find before any work that a folder cannot be made.

    Raises
    ------
    ConfigError
        If something is there, which would be overwritten or mixed with what is written.
    StorageError
        If this user may not write there.
    """
    with writing(path):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise ConfigError(f"{_shown(path)} is no folder: name a new one.")
        if path.is_dir() and any(path.iterdir()):
            raise ConfigError(f"{_shown(path)} is not empty: name a new folder.")
    _require_writable(path)


def require_new_file(path: Path, option: str) -> None:
    """Find before any work that a file cannot be made; raises as :func:`require_new_folder`.

    ``option`` is what names the file, for the message. Its folder must be there. A picture that has :data:`SOFTWARE` in
    it was drawn here, and may be drawn anew.
    """
    if os.path.lexists(path) and not _is_picture_of_ours(path):
        raise ConfigError(f"{option} {_shown(path)} is there already: name a new file.")
    if not path.parent.is_dir():
        raise ConfigError(f"The folder of {option} {_shown(path)} is not there: make it, or name another.")
    _require_writable(path)


def _is_picture_of_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return b"Software\0flower-dgan" in file.read(1000)


def _require_writable(path: Path) -> None:
    """Raise StorageError if what is next above a path, or is there, is no folder that this user may write into."""
    above = path.absolute() if path.is_dir() else path.absolute().parent
    while not os.path.lexists(above):
        above = above.parent
    number = 0 if above.is_dir() else errno.ENOTDIR
    if not number and not os.access(above, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(above).f_flag & os.ST_RDONLY else errno.EACCES
    if number:
        raise StorageError(_sentence(path, OSError(number, os.strerror(number))))


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
        raise StorageError(_sentence(path, error)) from error
    except Exception as error:
        # safetensors' writer is in Rust, and makes an error of its own of the system's
        if type(error).__name__ == "SafetensorError" and (number := _number_in(str(error))):
            raise StorageError(_sentence(path, OSError(number, os.strerror(number)))) from error
        raise


def _sentence(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM or (error.errno is None and "written" in reason):  # numpy counts, and names no number
        what = f"Free space on the disk of {_shown(path.parent)}, then start the same again."
    elif error.errno == errno.ENAMETOOLONG:
        what = "Give a shorter name."
    else:
        what = f"Let this user write into {_shown(path.parent)}, or name another place."
    return f"{_shown(path)} cannot be written: {reason}. {what}"


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


def _to_disk(path: Path, flags: int) -> None:
    """Wait until a file, or what a directory lists, is on the disk; some file systems cannot say so of directories."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
