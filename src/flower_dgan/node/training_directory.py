"""The directory that a node keeps of one training: who may write into it, and how it goes."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from platformdirs import user_state_path

from flower_dgan.errors import ForgottenError, StorageError
from flower_dgan.names import file_stem
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.node.writable import cannot_keep
from flower_dgan.private import private_directory

NODE, LOCK = "node.json", "lock"
_MOST_LEAVES = 100  # that come between this and its directory, before it is taken for one that cannot be made


class TrainingDirectory:
    """The directory of one node in one training; the node has joined where ``node.json`` is in it.

    Parameters
    ----------
    training : str
        Identity of the training, see :class:`~flower_dgan.wire.protocol.Training`.
    node : str
        What the node is called by its owner: two nodes of one machine never share a directory.

    Attributes
    ----------
    node : str
        As given.
    path : Path
        ``clients/<training>/<node>`` in the user's state directory, the node by its
        :func:`~flower_dgan.names.file_stem`.
    """

    def __init__(self, training: str, node: str) -> None:
        self.node = node
        self.path = user_state_path("flower-dgan") / "clients" / training / file_stem(node)

    def has_joined(self) -> bool:
        """Return whether the node has joined the training."""
        return (self.path / NODE).is_file()

    def stamp(self) -> Stamp:
        """Return what tells whether the node has joined once more since."""
        return stamp(self.path / NODE)

    def require_joined(self) -> None:
        """Raise ForgottenError if the node has not joined the training."""
        if not (self.path / NODE).is_file():
            raise ForgottenError(f"This node has not joined the training, or what it kept in {self.path} is gone.")

    @contextmanager
    def locked(self) -> Iterator[StoreLock]:
        """Let no other process write into the directory; raises ForgottenError if the node has not joined."""
        while True:
            self.require_joined()
            try:
                lock = StoreLock(self.path / LOCK)
            except FileNotFoundError:  # somebody left just now
                continue
            with lock.held():
                if lock.in_place():
                    yield lock
                    return

    @contextmanager
    def locked_where_it_will_be(self) -> Iterator[StoreLock]:
        """Let no other process write into the directory, which is made where it is missing."""
        for tried in itertools.count():
            try:
                for each in (self.path.parents[1], self.path.parent, self.path):
                    private_directory(each)  # real images will be in here
                lock = StoreLock(self.path / LOCK)
            except FileNotFoundError:  # somebody left just now; or nothing can be made there, such as in /proc
                if tried == _MOST_LEAVES:
                    raise
                continue
            with lock.held():
                if lock.in_place():
                    yield lock
                    return

    @contextmanager
    def forgotten_if_it_fails(self) -> Iterator[None]:
        """Delete what the body keeps of the training if it fails, and the node had not joined before."""
        before = (self.path / NODE).is_file()
        try:
            yield
        except BaseException:
            if not before:
                self.leave()
            raise

    def kept_beside(self) -> int:
        """Return of how many other trainings the node keeps something."""
        kept = self.path.parents[1].glob(f"*/{self.path.name}/{NODE}")
        return sum(each.parent != self.path for each in kept)

    def leave(self) -> None:
        """Delete the directory, when no other process writes into it any more."""
        while self.path.is_dir():
            try:
                lock = StoreLock(self.path / LOCK)
            except FileNotFoundError:  # somebody was faster
                continue
            with lock.held():
                if lock.in_place():
                    self.clear(but=LOCK)
                    shutil.rmtree(self.path)  # the lock last, so that who waits for it finds nothing else
        with suppress(OSError):  # other nodes of this machine are still in it
            self.path.parent.rmdir()

    def clear(self, but: str) -> None:
        """Delete what is in the directory, but for one file; node.json first, without which the node has not joined."""
        (self.path / NODE).unlink(missing_ok=True)
        for each in self.path.iterdir():
            if each.name != but:
                shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)

    @contextmanager
    def written(self) -> Iterator[None]:
        """Say of a write in the body that failed where that was, and what to do."""
        try:
            yield
        except (OSError, StorageError) as error:
            cause = error.__cause__ if isinstance(error, StorageError) else error
            if not isinstance(cause, OSError):
                raise
            raise StorageError(
                f"{cannot_keep('pairs', self.path, cause)}. Whoever moves the state directory to another disk moves "
                "all of it: the owner's book is in it."
            ) from error

    def damaged(self, what: str, error: Exception) -> StorageError:
        """Return what to raise where a file of the directory does not hold what was written."""
        return StorageError(
            f"{what} of this node in {self.path} cannot be read: {error}. The node cannot go on with this training: "
            f"delete {self.path}, and begin a new training."
        )
