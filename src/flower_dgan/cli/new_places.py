"""Places that commands write to: new ones, found before the work, and whole or not there after it."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flower_dgan.errors import ConfigError
from flower_dgan.printable import printable
from flower_dgan.whole_file import not_written, to_disk, writing


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
            to_disk(whole.parent, os.O_RDONLY)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def require_new_folder(path: Path, *inputs: Path) -> None:
    """Find before any work that a folder cannot be made.

    Parameters
    ----------
    path : Path
        The folder.
    *inputs : Path
        What the command reads, see :func:`require_outside`.

    Raises
    ------
    ConfigError
        If something is there, which would be overwritten or mixed with what is written, or it lies in an input.
    StorageError
        If this user may not write there.
    """
    require_outside(path, *inputs)
    with writing(path):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise ConfigError(f"{_shown(path)} is no folder: name a new one.")
        if path.is_dir() and any(path.iterdir()):
            raise ConfigError(f"{_shown(path)} is not empty: name a new folder.")
    _require_writable(path)


def require_outside(path: Path, *inputs: Path) -> None:
    """Raise ConfigError if a folder to write is one that is read, or lies in one, whatever links lead there.

    The same command would find its own files among the user's when it is started again, and so would others.
    """
    for each in inputs:
        if each.is_dir() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(each)):
            raise ConfigError(
                f"{_shown(path)} lies in {_shown(each)}, which is read, so that its files would be mixed with yours: "
                "name a new folder outside of it."
            )


def require_new_file(path: Path, option: str) -> None:
    """Find before any work that a file cannot be made; raises as :func:`require_new_folder`.

    ``option`` is what names the file, for the message. Its folder must be there. A picture that says, by
    :data:`~flower_dgan.whole_file.SOFTWARE`, that it was drawn here may be drawn anew.
    """
    if os.path.lexists(path) and not _is_picture_of_ours(path):
        raise ConfigError(f"{option[0].upper()}{option[1:]} {_shown(path)} is there already: name a new file.")
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
        raise not_written(path, OSError(number, os.strerror(number)))


def _shown(path: Path) -> str:
    return printable(str(path.absolute()), None)
