"""What a node has of a training, in memory from one message to the next where its process lives on.

Built once: configuration, policy, pairs, the shape of its messages, its secret, and the networks with the losses. What
changes is :class:`~flower_dgan.node.progress.Progress`, which holds itself against the node's directory. A process that
is started for one message opens its session anew; a worker of a simulation, which serves many nodes, has those of its
training in memory.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from flwr.app import RecordDict

from flower_dgan.errors import ProtocolError
from flower_dgan.gan.randomness import derive_seed
from flower_dgan.gan.session import Session
from flower_dgan.networks.build import ImageShape, discriminator_shapes
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.node import node_key
from flower_dgan.node.policy import ReleasePolicy, release_policy, stamp_of_policy
from flower_dgan.node.progress import Progress
from flower_dgan.node.secret import secret_of, secret_path
from flower_dgan.node.simulation import NodeConfig, in_simulation
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.node.state import ClientState
from flower_dgan.wire.bundle_message import BundleMessage
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import discriminator_half

MOST_BYTES, MOST_SESSIONS = 512 * 2**20, 64
"""Of discriminators with their optimizers, and of sessions, that one process has in memory.

A worker of Flower's simulation takes about as many bytes before it has any: they are those of 16 PatchGANs, or of a
thousand small discriminators. Each session has four files open, of the 1024 that a process may have. What is beyond is
opened anew for its next message, as in a process of its own; that costs time and nothing else.
"""

_OPEN: OrderedDict[Path, "NodeSession"] = OrderedDict()
_GUARD = threading.Lock()


class NodeSession:
    """One node in one training.

    Parameters
    ----------
    state : ClientState
        The node's directory of the training.
    lock : StoreLock
        The lock of that; held.
    node_config : mapping
        The owner's.

    Attributes
    ----------
    name : str
        The client's name.
    config : TrainingConfig
        The settings of the training.
    lock : StoreLock
        As given.

    Raises
    ------
    ForgottenError
        If the node has not joined the training.
    PolicyError, ConfigError
        If the owner's policy is against the settings; if the policy or the secret cannot be read.
    """

    def __init__(self, state: ClientState, lock: StoreLock, node_config: NodeConfig) -> None:
        self.lock = lock
        self._state = state
        self._node_config = dict(node_config)
        self._made_from = self._sources()  # before they are read, so that what changes meanwhile is noticed
        self.name, pairs, self.config = state.joined()
        self._policy_stamp, self._policy = self._read_policy()
        config, channels = self.config, pairs.images[0].shape[2]
        self._shape = replace(BundleShape.of(config, pairs.classes), channels=channels)
        weights_come = config.algorithm.swap_interval > 0 or config.algorithm.upload != "none"
        self._parameters = discriminator_shapes(config, pairs.classes) if weights_come else None
        secret = secret_of(node_config, node_key(node_config), self.name, config.seed)
        build = partial(
            discriminator_half, config, ImageShape(pairs.classes, channels, config.data.image_size, ()), self.name
        )
        self._progress = Progress(state, lock, build, derive_seed(secret, "client", self.name))
        self._session = Session(
            name=self.name,
            pairs=pairs,
            half=self._progress.half,
            image_size=config.data.image_size,
            batch_size=config.exchange.batch_size,
            augmentation=config.data.augmentation,
            secret=secret,
        )

    @property
    def bytes(self) -> int:
        """Bytes in memory of the discriminator and of the two moments that Adam has of each of its parameters."""
        return 3 * sum(each.numel() * each.element_size() for each in self._progress.half.network.parameters())

    def is_up_to_date(self, node_config: NodeConfig) -> bool:
        """Return whether what the session was built from is what it was; opens no file."""
        return self.lock.in_place() and self._node_config == node_config and self._made_from == self._sources()

    def follow_policy(self) -> None:
        """Hold the settings against the owner's policy once more if its file has changed; raises as the class."""
        if self._policy_stamp != stamp_of_policy(self._node_config):
            self._policy_stamp, self._policy = self._read_policy()

    def read(self, content: RecordDict) -> BundleMessage:
        """Read a bundle of this training; raises ProtocolError."""
        bundle = BundleMessage.from_records(content, self._shape, self._parameters)
        if self.config.algorithm.upload != "none" and bundle.discriminator is None:
            raise ProtocolError("a bundle without the discriminator whose change is to be uploaded")
        if bundle.views is not None:
            bundle.views.check(self._session.sizes, self.config.data.image_size)
        elif self._session.half.pixel_losses is not None:
            raise ProtocolError("a bundle that says no real images, for losses that compare with them pixel by pixel")
        return bundle

    @contextmanager
    def answering(self, bundle: BundleMessage) -> Iterator[Session]:
        """Give what answers a bundle; what becomes of the discriminator is kept if the body raises nothing.

        Raises as :meth:`flower_dgan.node.progress.Progress.answering`.
        """
        batches = range(self.config.exchange.exchanges)
        drawn = np.concatenate([self._session.real_views(bundle.round_number, batch).ids for batch in batches])
        with self._progress.answering(bundle, self._policy, drawn) as half:
            if self._session.half is not half:
                self._session = replace(self._session, half=half)
            yield self._session

    def _sources(self) -> tuple[bool, Stamp, Stamp]:
        secret = secret_path(self._node_config, node_key(self._node_config))
        return in_simulation(self._node_config), self._state.stamp(), None if secret is None else stamp(secret)

    def _read_policy(self) -> tuple[Stamp, ReleasePolicy]:
        before = stamp_of_policy(self._node_config)
        policy = release_policy(self.config, self._node_config)
        policy.check_settings(self.config)
        return before, policy


@contextmanager
def open_session(training: Training, node_config: NodeConfig) -> Iterator[NodeSession]:
    """Open the session of a node in a training; no other process, and no other thread, answers for the node inside.

    One that is in memory and up to date is opened without opening or reading any file.

    Parameters
    ----------
    training : Training
        Which training a message belongs to.
    node_config : mapping
        The owner's.

    Raises
    ------
    ForgottenError
        If the node has not joined the training, or its directory is gone.
    PolicyError, ConfigError
        If the owner's policy is against the settings; if the policy or the secret cannot be read.
    """
    state = ClientState(training.identity, node_key(node_config))
    if (known := _recall(state.path)) is not None:
        with known.lock.held():
            if known.is_up_to_date(node_config):
                known.follow_policy()
                yield known
                return
        forget_session(state)
    with state.locked() as lock:
        opened = NodeSession(state, lock, node_config)
        _remember(state.path, opened)
        yield opened


def forget_session(state: ClientState) -> None:
    """Drop from memory what it has of a node's training; its directory stays as it is."""
    with _GUARD:
        _OPEN.pop(state.path, None)


def _recall(path: Path) -> NodeSession | None:
    with _GUARD:
        if path in _OPEN:
            _OPEN.move_to_end(path)
        return _OPEN.get(path)


def _remember(path: Path, session: NodeSession) -> None:
    """Keep a session in memory, without those of other trainings, and without the oldest where they are too many."""
    with _GUARD:
        for other in [each for each in _OPEN if each.parent != path.parent]:
            del _OPEN[other]
        _OPEN[path] = session
        while len(_OPEN) > MOST_SESSIONS or (len(_OPEN) > 1 and _bytes_in_memory() > MOST_BYTES):
            _OPEN.popitem(last=False)


def _bytes_in_memory() -> int:
    return sum(each.bytes for each in _OPEN.values())


def _start_afresh() -> None:
    """Let a process that was forked open sessions of its own: it shares its parent's locks, which would not hold it."""
    global _GUARD  # another thread of the parent may have had it
    _GUARD = threading.Lock()
    _OPEN.clear()


os.register_at_fork(after_in_child=_start_afresh)
