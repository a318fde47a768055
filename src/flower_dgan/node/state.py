"""What a node remembers of a training between two messages, in files of its own.

Flower's ``context.state`` travels with every message: 33 MB for a PatchGAN and its optimizer, and the images would have
to be read, and the configuration composed, again in every new process. Here they stay at the node, in one directory for
each training and node: configuration and pairs as they were when the node joined, these mapped into memory rather than
read, and the discriminator as it was after the last answers.
"""

import itertools
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_state_path

from flower_dgan.algorithms.find import read_config
from flower_dgan.config import TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.data.plain_values import read_json
from flower_dgan.errors import FederationError, ForgottenError, ProtocolError, StorageError
from flower_dgan.names import file_stem
from flower_dgan.node.kept_pairs import HASHES as _HASHES
from flower_dgan.node.kept_pairs import digest, keep_hashes, keep_pairs, kept_hashes, kept_pairs
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.node.writable import cannot_keep
from flower_dgan.private import private_directory
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.join_messages import TOKEN_BYTES
from flower_dgan.wire.protocol import Training

_NODE, _LOCK, _VALIDATION, _GROUPS = "node.json", "lock", "validation", "groups.json"
_HELD_HASHES = "held_hashes.npy"
_MOST_LEAVES = 100  # that come between this and its directory, before it is taken for one that cannot be made


class ClientState:
    """The directory of one node in one training.

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

    def join(
        self,
        name: str,
        pairs: Pairs,
        config: TrainingConfig,
        attempt: int,
        validation: Pairs | None = None,
        begin: Callable[[], tuple[int, NDArray[np.uint8], NDArray[np.uint8]]] | None = None,
        groups: Sequence[str] = (),
        by_noise: bool = False,
    ) -> str:
        """Keep the node's name, its real pairs and the run's configuration; return the node's token.

        The pairs are those that it trains on and, if there are any, those that it holds out for validation.

        A node that joins again goes on with its discriminator, and shows the same token: by it the server knows that it
        is the node that had this name before, and not another that took it.

        ``begin`` is called where the node had not joined before, and returns how many trainings of the same seed it was
        in before, see :meth:`~flower_dgan.node.book.Book.begin`, and the hashes of the images of both pairs. ``groups``
        say whose each of the pairs is, where that is known. Where noise alone bounds what leaves (``by_noise``), a node
        that joins again goes on with the pairs of the first time whatever it has now: a refusal would tell.

        Raises
        ------
        FederationError
            If it joins again with other pairs.
        ProtocolError
            If it has joined a later attempt, or the training is described in another way than before.
        StorageError
            If it cannot be written. Nothing of it is left then, unless the node had joined before.
        """
        node: dict[str, Any] = {
            "name": name,
            "pairs": digest(pairs),
            "validation": digest(validation) if validation else None,
            "classes": pairs.classes,
            "channels": pairs.images[0].shape[2],
            "attempt": attempt,
            "repeat": 0,
        }
        with self.forgotten_if_it_fails(), self._written(), self._locked_where_it_will_be() as lock:
            if (self.path / _NODE).is_file():
                if by_noise:
                    before = self._node()
                    node |= {key: before[key] for key in ("pairs", "validation", "classes", "channels")}
                token = self._token_of_before(node, config)
                node["repeat"] = self.repeat()
                lock.renew()
            else:
                token = secrets.token_hex(TOKEN_BYTES)
                self._clear(but=_LOCK)  # of a start that died
                lock.renew()
                if begin:
                    node["repeat"], *images = begin()
                    for file, found in zip((_HASHES, _HELD_HASHES), images, strict=True):
                        keep_hashes(self.path / file, found)
                keep_pairs(self.path, pairs)
                with whole_file(self.path / _GROUPS, private=True) as partial:
                    partial.write_text(json.dumps(list(groups)), encoding="utf-8")
                if validation:
                    (self.path / _VALIDATION).mkdir(mode=0o700)
                    keep_pairs(self.path / _VALIDATION, validation)
            # Last: where this file is, the others are whole.
            with whole_file(self.path / _NODE, private=True) as partial:
                partial.write_text(json.dumps({**node, "token": token, "config": asdict(config)}), encoding="utf-8")
        return token

    def _token_of_before(self, node: dict[str, Any], config: TrainingConfig) -> str:
        """Return the token of a node that has joined, if it joins as it did then; raises as :meth:`join`."""
        before = self._node()
        if any(before[key] != node[key] for key in ("pairs", "validation", "name")):
            raise FederationError(
                f"The data of {node['name']} are not those that this training began with (kept in {self.path}): put "
                "them back, or start a new training."
            )
        if before["attempt"] > node["attempt"]:
            raise ProtocolError(f"attempt {node['attempt']} of a training whose attempt {before['attempt']} has begun")
        if before["config"] != json.loads(json.dumps(asdict(config))):
            raise ProtocolError("a training that this node has joined is described in another way")
        return str(before["token"])

    @contextmanager
    def _locked_where_it_will_be(self) -> Iterator[StoreLock]:
        """Let no other process write into the directory, which is made where it is missing."""
        for tried in itertools.count():
            try:
                for each in (self.path.parents[1], self.path.parent, self.path):
                    private_directory(each)  # real images will be in here
                lock = StoreLock(self.path / _LOCK)
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
        before = (self.path / _NODE).is_file()
        try:
            yield
        except BaseException:
            if not before:
                self.leave()
            raise

    def joined(self, allow_code: Callable[[str, str], None]) -> tuple[str, Pairs, TrainingConfig]:
        """Return the node's name, its pairs mapped from disk, and the run's configuration.

        ``allow_code`` is as for :func:`~flower_dgan.algorithms.find.read_config`: its owner's policy may have changed.

        Raises
        ------
        ForgottenError
            If the node has not joined the training, or its directory is gone.
        StorageError
            If a file in it is damaged.
        """
        self._require_joined()
        node = self._node()
        return node["name"], self._kept(self.path), read_config(TrainingConfig, node["config"], allow_code)

    def settings(self, allow_code: Callable[[str, str], None]) -> TrainingConfig:
        """Return the training's settings alone; raises as :meth:`joined`."""
        self._require_joined()
        return read_config(TrainingConfig, self._node()["config"], allow_code)

    def groups(self, pairs: int) -> tuple[str, ...]:
        """Return whose each of so many pairs is; each its own where that was not said.

        Raises
        ------
        ForgottenError
            If the node has not joined.
        StorageError
            If the file is damaged.
        """
        self._require_joined()
        try:
            found = tuple(map(str, json.loads((self.path / _GROUPS).read_text(encoding="utf-8"))))
            if len(found) not in (0, pairs):
                raise ValueError(f"it names {len(found)} of {pairs}")
        except (OSError, ValueError, TypeError) as error:
            raise self.damaged(_GROUPS, error) from error
        return found or tuple(str(index) for index in range(pairs))

    def validation(self) -> Pairs | None:
        """Return the pairs that are held out, mapped from disk, None if none are; raises ForgottenError as above."""
        self._require_joined()
        kept = self.path / _VALIDATION
        return self._kept(kept) if kept.is_dir() else None

    def _kept(self, directory: Path) -> Pairs:
        try:
            return kept_pairs(directory, self._node()["classes"])
        except (OSError, ValueError, EOFError, IndexError) as error:
            raise self.damaged("The pairs", error) from error

    def parcels(self) -> Path:
        """Return the directory of messages that travel in parts; raises ForgottenError if the node has not joined."""
        self._require_joined()
        return self.path / "parcels"

    def attempt(self) -> int:
        """Return the attempt of the training that the node joined last."""
        return int(self._node()["attempt"])

    def repeat(self) -> int:
        """Return how many trainings of the same seed the node was in before this one."""
        return int(self._node().get("repeat", 0))

    def token(self) -> str:
        """Return the node's token in the training: another once it left and joined anew."""
        return str(self._node()["token"])

    def form(self) -> tuple[int, int]:
        """Return how many classes the label maps have, and how many channels the images."""
        node = self._node()
        if "channels" not in node:  # one that joined before this was kept
            node["channels"] = self._kept(self.path).images[0].shape[2]
        return int(node["classes"]), int(node["channels"])

    def images(self) -> NDArray[np.uint8]:
        """Return the hashes of all images that the node keeps of the training, those for validation too."""
        kept = [kept_hashes(self.path, self._kept(self.path))]
        if (self.path / _HELD_HASHES).is_file():
            kept.append(np.asarray(np.load(self.path / _HELD_HASHES)))
        return np.concatenate(kept)

    def has_joined(self) -> bool:
        """Return whether the node has joined the training."""
        return (self.path / _NODE).is_file()

    def stamp(self) -> Stamp:
        """Return what tells whether the node has joined once more since."""
        return stamp(self.path / _NODE)

    @contextmanager
    def locked(self) -> Iterator[StoreLock]:
        """Let no other process write into the directory; raises ForgottenError if the node has not joined."""
        while True:
            self._require_joined()
            try:
                lock = StoreLock(self.path / _LOCK)
            except FileNotFoundError:  # somebody left just now
                continue
            with lock.held():
                if lock.in_place():
                    yield lock
                    return

    def answered(self) -> bool:
        """Return whether anything is kept of an answer to a bundle."""
        return any(self.path.glob("round-*"))

    def kept_beside(self) -> int:
        """Return of how many other trainings the node keeps something."""
        kept = self.path.parents[1].glob(f"*/{self.path.name}/{_NODE}")
        return sum(each.parent != self.path for each in kept)

    def _require_joined(self) -> None:
        if not (self.path / _NODE).is_file():
            raise ForgottenError(f"This node has not joined the training, or what it kept in {self.path} is gone.")

    def note_once(self, training: Training, what: str, digest: str) -> None:
        """Note which figures of real images a training asked for: these it may have again, but no others.

        Moments of two sets of windows that differ by one would tell of that one, and scores of any number of networks
        of every image.

        Parameters
        ----------
        training : Training
            Who asks.
        what : str
            What there is once a training, such as ``"moments"``; with hyphens for its blanks, the stem of a file.
        digest : str
            Hash of what is asked.

        Raises
        ------
        ProtocolError
            If the message is of an earlier attempt.
        FederationError
            If others were asked for before.
        """
        with self.locked():
            check_attempt(training, self.attempt())
            file = self.path / f"{what.replace(' ', '-')}.sha256"
            if not file.is_file():
                with whole_file(file, private=True) as partial:
                    partial.write_text(digest, encoding="utf-8")
            elif file.read_text(encoding="utf-8") != digest:
                raise FederationError(
                    f"This node gives {what} once a training, and those of another network or of other windows were "
                    "asked for already."
                )

    def leave(self) -> None:
        """Delete the directory, when no other process writes into it any more."""
        while self.path.is_dir():
            try:
                lock = StoreLock(self.path / _LOCK)
            except FileNotFoundError:  # somebody was faster
                continue
            with lock.held():
                if lock.in_place():
                    self._clear(but=_LOCK)
                    shutil.rmtree(self.path)  # the lock last, so that who waits for it finds nothing else
        with suppress(OSError):  # other nodes of this machine are still in it
            self.path.parent.rmdir()

    def _clear(self, but: str) -> None:
        """Delete what is in the directory, but for one file; node.json first, without which the node has not joined."""
        (self.path / _NODE).unlink(missing_ok=True)
        for each in self.path.iterdir():
            if each.name != but:
                shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)

    @contextmanager
    def _written(self) -> Iterator[None]:
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

    def _node(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = read_json(self.path / _NODE)
            if missing := [
                key
                for key in ("name", "pairs", "validation", "classes", "attempt", "token", "config")
                if key not in found
            ]:
                raise ValueError(f"it lacks {', '.join(missing)}")
        except (OSError, ValueError, TypeError) as error:
            raise self.damaged(_NODE, error) from error
        return found

    def damaged(self, what: str, error: Exception) -> StorageError:
        """Return what to raise where a file of the directory does not hold what was written."""
        return StorageError(
            f"{what} of this node in {self.path} cannot be read: {error}. The node cannot go on with this training: "
            f"delete {self.path}, and begin a new training."
        )


def check_attempt(training: Training, joined: int) -> None:
    """Raise ProtocolError if a message is of another attempt than the one that the node has joined."""
    if training.attempt != joined:
        raise ProtocolError(f"a message of attempt {training.attempt} at a node that has joined attempt {joined}")
