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
from numpy.typing import NDArray
from torch import nn

from flower_dgan.algorithms.dpgan import DpGan
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.data.levels import levels_of
from flower_dgan.errors import ProtocolError
from flower_dgan.gan.exchange import Question
from flower_dgan.gan.session import Session
from flower_dgan.networks.build import ImageShape, discriminator_form
from flower_dgan.node.book import Book
from flower_dgan.node.counts import Counts
from flower_dgan.node.kept_pairs import kept_hashes
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.node import node_key, settings_at
from flower_dgan.node.own_policy import check_code, is_guarded, release_policy, stamp_of_policy
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.private_steps import PrivateSteps
from flower_dgan.node.progress import Progress
from flower_dgan.node.secret import secret_of, secret_path
from flower_dgan.node.simulation import NodeConfig, in_simulation
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.node.state import ClientState
from flower_dgan.placing import compile_in_place
from flower_dgan.randomness import derive_seed
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.packing import pack_content, unpack_content
from flower_dgan.wire.question_message import Envelope, read_question
from flower_dgan.wiring import computing, discriminator_half, session_of


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
        secret = secret_of(node_config, node_key(node_config), self.name, config.seed, state.repeat())
        levels = (levels_of(pairs.images),) if config.model.levels == "site" else ()
        shape = ImageShape(pairs.classes, channels, config.data.image_size, (), levels)
        build = partial(discriminator_half, config, shape, self.name, secret)
        self._images = kept_hashes(state.path, pairs) if is_guarded(node_config) else None
        counts = None if self._images is None else Counts(Book(), self._images, state.token())
        self._progress = Progress(state, lock, build, derive_seed(secret, "client", self.name), counts)
        self._session = session_of(config, self.name, pairs, self._progress.half, secret)
        self._compiled: nn.Module | None = None
        self._private: PrivateSteps | None = None
        if isinstance(self.algorithm, DpGan):
            groups, owned = state.groups(len(pairs)), self._images is not None
            self._private = PrivateSteps(self.algorithm, config, pairs, groups, state.node, secret, owned)

    @property
    def bytes(self) -> int:
        """Bytes in memory of the discriminator and of the two moments that Adam has of each of its parameters."""
        return 3 * sum(each.numel() * each.element_size() for each in self._progress.half.network.parameters())

    @property
    def exact_figures(self) -> bool:
        """Whether figures leave as they were measured."""
        return self._policy.exact_figures

    def is_up_to_date(self, node_config: NodeConfig) -> bool:
        """Return whether what the session was built from is what it was; opens no file."""
        return self.lock.in_place() and self._node_config == node_config and self._made_from == self._sources()

    def follow_policy(self) -> None:
        """Hold the settings against the owner's policy once more if its file has changed; raises as the class."""
        if self._policy_stamp != stamp_of_policy(self._node_config):
            self._policy_stamp, self._policy = self._read_policy()

    def compile(self) -> None:
        """Compile the discriminator, unless it is: for a session that lives on; raises ConfigError where that fails."""
        network = self._progress.half.network
        if self.config.compile and self._compiled is not network:
            with computing(self.config):
                compile_in_place(network)
            self._compiled = network

    def read(self, content: RecordDict) -> tuple[Envelope, Question]:
        """Read a question of this training; raises ProtocolError."""
        envelope, question = read_question(content, self._shape, self._parameters)
        if not 1 <= envelope.round_number <= self.config.exchange.rounds:
            raise ProtocolError(f"round {envelope.round_number} of {self.config.exchange.rounds}")
        if question.views is not None:
            question.views.check(self._session.sizes, self.config.data.image_size)
        return envelope, question

    @contextmanager
    def answering(self, envelope: Envelope, question: Question) -> Iterator[Session]:
        """Give what answers a question; what becomes of the discriminator is kept if the body raises nothing.

        Raises as :meth:`flower_dgan.node.progress.Progress.answering`.
        """
        batches = range(self.config.exchange.exchanges * self.config.algorithm.passes)
        asked = np.zeros(0, np.int64) if question.views is None else question.views.ids

        def use(returns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            self._session = replace(self._session, returns=returns)
            if self.algorithm.releases.by_noise:  # a limit by image would tell who came
                return np.zeros(0, np.int64), np.zeros(0, np.int64)
            drawn = [self._session.real_views(envelope.round_number, batch).ids for batch in batches]
            for each in drawn:
                self._policy.check_distinct(each if self._images is None else self._images[each])
            return asked, np.tile(np.concatenate(drawn), self.config.algorithm.discriminator_steps)

        with self._progress.answering(envelope, self._policy, use) as half:
            if self._session.half is not half:
                self._session = replace(self._session, half=half)
            if self._private is None:
                yield self._session
            else:
                with self._private.charged(self._session, envelope.round_number, self._policy) as session:
                    yield session

    def stored(self, envelope: Envelope) -> RecordDict | None:
        """Return what a bundle was answered with, to the byte; None where it is to be computed.

        A node in a simulation keeps no answers: there it computes one again, from the state before it.
        """
        data = self._progress.stored(envelope)
        return None if data is None else unpack_content(data)

    def keep_answer(self, envelope: Envelope, answer: RecordDict) -> None:
        """Keep an answer before it leaves, where the node has an owner who counts."""
        if self._images is not None:
            self._progress.keep_answer(envelope, pack_content(answer))

    def _sources(self) -> tuple[bool, Stamp, Stamp]:
        secret = secret_path(self._node_config, node_key(self._node_config))
        return in_simulation(self._node_config), self._state.stamp(), None if secret is None else stamp(secret)

    def _read_policy(self) -> tuple[Stamp, ReleasePolicy]:
        before = stamp_of_policy(self._node_config)
        policy = release_policy(self.config, self._node_config)
        policy.check_settings(self.config)
        return before, policy
