"""Files that are complete or not there, whatever dies while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flower_dgan.private import private_file


@contextmanager
def whole_file(path: Path, *, shared: bool = False, private: bool = False) -> Iterator[Path]:
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

    Yields
    ------
    Path
        The same but for a suffix ``.partial``.
    """
    partial = path.with_name(f"{path.stem}{f'-{os.getpid()}' if shared else ''}.partial")
    if private:
        private_file(partial)
    yield partial
    partial.replace(path)
