"""Follows a file to which another process adds lines."""

from pathlib import Path


class Follower:
    """Reads the lines of a file as they come, a bounded part at a time.

    Parameters
    ----------
    path : Path
        The file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._at = 0
        self.size = 0

    @property
    def share(self) -> float:
        """How much of the file has been read, in [0, 1]."""
        return min(1.0, self._at / self.size) if self.size else 1.0

    def more(self, most: int) -> tuple[bool, list[bytes]]:
        """Read the next whole lines.

        Parameters
        ----------
        most : int
            How many bytes at most; a longer line is read whole.

        Returns
        -------
        bool
            Whether the file begins anew: it became shorter or another one stands in its place, as after a resume. What
            was read before is void then.
        list of bytes
            The lines, without their ends. A last one that is not whole is left for the next time.
        """
        try:
            with self._path.open("rb") as file:
                found = self._path.stat()
                identity = found.st_dev, found.st_ino
                anew = self._identity is not None and (identity != self._identity or found.st_size < self._at)
                if anew:
                    self._at = 0
                self._identity, self.size = identity, found.st_size
                file.seek(self._at)
                part = file.read(most)
                if part and b"\n" not in part:
                    part += file.readline()
        except OSError:
            return False, []
        whole = part[: part.rfind(b"\n") + 1]
        self._at += len(whole)
        return anew, whole.split(b"\n")[:-1]
