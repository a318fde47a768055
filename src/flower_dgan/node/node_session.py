"""What a node has of a training: built once, and used for every message that comes while its process lives on.

Constant are configuration, policy, pairs, the shape of messages, the secret, the form of the networks and the losses.
What changes is :class:`~flower_dgan.node.progress.Progress`, which holds itself against the node's directory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
from flwr.app import RecordDict

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.data.levels import levels_of
from flower_dgan.gan.exchange import Question
from flower_dgan.gan.session import Session
from flower_dgan.networks.build import ImageShape, discriminator_form
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.node import node_key, settings_at
from flower_dgan.node.policy import ReleasePolicy, check_code, release_policy, stamp_of_policy
from flower_dgan.node.progress import Progress
from flower_dgan.node.secret import secret_of, secret_path
from flower_dgan.node.simulation import NodeConfig, in_simulation
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.node.state import ClientState
from flower_dgan.randomness import derive_seed
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.question_message import Envelope, read_question
from flower_dgan.wiring import discriminator_half, session_of


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
    algorithm : Algorithm
        What it trains.
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
        self.name, pairs, config = state.joined(partial(check_code, node_config))
        self.config = settings_at(config, node_config)  # on the device that the owner names now
        self._policy_stamp, self._policy = self._read_policy()
        self.algorithm = algorithm_of(self.config)
        config, channels = self.config, pairs.images[0].shape[2]
        self._shape = replace(BundleShape.of(config, pairs.classes), channels=channels)
        form = discriminator_form(config, pairs.classes, channels) if self.algorithm.releases.of_network else None
        self._parameters = form.shapes if form else None
        secret = secret_of(node_config, node_key(node_config), self.name, config.seed)
        levels = (levels_of(pairs.images),) if config.model.levels == "site" else ()
        shape = ImageShape(pairs.classes, channels, config.data.image_size, (), levels)
        build = partial(discriminator_half, config, shape, self.name)
        self._progress = Progress(state, lock, build, derive_seed(secret, "client", self.name))
        self._session = session_of(config, self.name, pairs, self._progress.half, secret)

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

    def read(self, content: RecordDict) -> tuple[Envelope, Question]:
        """Read a question of this training; raises ProtocolError."""
        envelope, question = read_question(content, self._shape, self._parameters)
        if question.views is not None:
            question.views.check(self._session.sizes, self.config.data.image_size)
        return envelope, question

    @contextmanager
    def answering(self, envelope: Envelope, question: Question) -> Iterator[Session]:
        """Give what answers a question; what becomes of the discriminator is kept if the body raises nothing.

        Raises as :meth:`flower_dgan.node.progress.Progress.answering`.
        """
        batches = range(self.config.exchange.exchanges * self.config.algorithm.passes)
        drawn = np.concatenate([self._session.real_views(envelope.round_number, batch).ids for batch in batches])
        asked = np.zeros(0, np.int64) if question.views is None else question.views.ids
        with self._progress.answering(envelope, self._policy, asked, drawn) as half:
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
