"""What a node has learned in a training, in memory and in its directory: discriminator and random state.

The directory is the truth. What is in memory is used as long as the nonce of the directory's lock, and the file of the
newest round, say that nobody wrote there since; and it is given up before anything of it is changed, so that an answer
that was computed but not stored is forgotten.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.node.asked_once import check_attempt
from flower_dgan.node.counts import Counts
from flower_dgan.node.kept_rounds import KeptRounds
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.state import ClientState
from flower_dgan.wire.question_message import Envelope


class Progress:
    """The discriminator of one node in one training.

    Parameters
    ----------
    state : ClientState
        The directory.
    lock : StoreLock
        Its lock; held by whoever calls a method.
    build : callable
        Returns the discriminator as it is before the first round.
    seed : int
        Of torch's default random state before the first round.
    counts : Counts or None
        Of its images, in all trainings; None where nobody counts.

    Attributes
    ----------
    half : DiscriminatorHalf
        What :meth:`answering` gave last, or a fresh one.
    """

    def __init__(
        self,
        state: ClientState,
        lock: StoreLock,
        build: Callable[[], DiscriminatorHalf],
        seed: int,
        counts: Counts | None = None,
    ) -> None:
        self._state = state
        self._lock = lock
        self._build = build
        self._seed = seed
        self._rounds = KeptRounds(state.path)
        self._counts = counts
        self._seen: bytes | None = None  # the nonce that what follows was read or written under
        self._attempt = 0
        self.half = build()
        self._at: int | None = 0  # after which round the discriminator is in memory, None where nobody knows
        self._random = torch.get_rng_state()

    @contextmanager
    def answering(
        self, envelope: Envelope, policy: ReleasePolicy, use: Callable[[int], Sequence[NDArray[np.int64]]]
    ) -> Iterator[DiscriminatorHalf]:
        """Give the discriminator that answers a question, and keep what became of it if the body raises nothing.

        Torch's default random state inside is the client's own; that of the process stays as it was.

        Parameters
        ----------
        envelope : Envelope
            Of the question that is answered.
        policy : ReleasePolicy
            The node's policy: how often one image may be asked about.
        use : callable
            Returns two int64 arrays, told how often the node went back to an earlier state for another bundle: the real
            images whose label maps the synthetic ones were made from, where these are the node's own, and those that
            the node draws itself for the answer.

        Raises
        ------
        ProtocolError
            If the round was answered already with another bundle, or the message is of an earlier attempt.
        ForgottenError
            If less is kept than the server was answered: the discriminator would start afresh.
        PolicyError
            If the policy is against it.
        """
        self._catch_up()
        check_attempt(envelope.training, self._attempt)
        place = self._rounds.before(envelope)
        number, bundle = envelope.round_number, envelope.digest
        if self._counts is not None and not place.again:
            place = replace(place, returns=self._counts.returns(number, bundle, place.returns))
        asked, drawn = use(place.returns)
        with torch.random.fork_rng(devices=[]):
            if place.again:
                self._go_to(place.base)
                yield self.half
                return
            policy.check_returns(place.returns)
            # Before the answer: one that dies on its way counts, too.
            if self._counts is not None:
                self._counts.add(asked, drawn, policy, (number, bundle, place.returns))
            self._seen = None
            nonce = self._lock.renew()
            self._rounds.note(place)
            self._go_to(place.base)
            yield self.half
            self.half.optimizer.zero_grad(set_to_none=True)  # a quarter of what waits in memory for the next message
            self._rounds.keep(self.half, envelope, place)
            self._at, self._random = envelope.round_number, torch.get_rng_state()
            self._seen = nonce

    def stored(self, envelope: Envelope) -> bytes | None:
        """Return the bytes that a bundle of the attempt at hand was answered with, None where none are kept."""
        self._catch_up()
        check_attempt(envelope.training, self._attempt)
        return self._rounds.stored(envelope)

    def keep_answer(self, envelope: Envelope, answer: bytes) -> None:
        """Keep the bytes of an answer; they are what the same bundle gets from then on."""
        self._rounds.keep_answer(envelope, answer)

    def _catch_up(self) -> None:
        """Read what the directory says, unless it is known to say what is in memory."""
        nonce = self._lock.nonce()
        if nonce == self._seen and self._rounds.unchanged():
            return
        if self._at != 0:  # a fresh discriminator stays one
            self._at = None
        self._attempt = self._state.attempt()
        self._rounds.look()
        self._seen = nonce

    def _go_to(self, round_number: int) -> None:
        """Let the discriminator, and torch's random state, be as after a round, 0 for before the first.

        From then on nobody knows which round it is after: it is about to change.
        """
        at, self._at = self._at, None
        if at and at == round_number:
            torch.set_rng_state(self._random)
            return
        if at != 0:
            self.half = self._build()
        torch.default_generator.manual_seed(self._seed)
        if round_number:
            self._rounds.restore(self.half, round_number)
