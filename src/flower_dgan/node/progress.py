"""What a node has learned in a training, in memory and in its directory: discriminator, random state and counters.

The directory is the truth. What is in memory is used as long as the nonce of the directory's lock, and the file of the
newest round, say that nobody wrote there since; and it is given up before anything of it is changed, so that an answer
that was computed but not stored is forgotten.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.node.kept_pairs import count_kept
from flower_dgan.node.kept_rounds import KeptRounds
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.state import ClientState, check_attempt
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.question_message import Envelope


class Progress:
    """The discriminator of one node in one training, and how often its images were used.

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

    Attributes
    ----------
    half : DiscriminatorHalf
        What :meth:`answering` gave last, or a fresh one.
    """

    def __init__(self, state: ClientState, lock: StoreLock, build: Callable[[], DiscriminatorHalf], seed: int) -> None:
        self._state = state
        self._lock = lock
        self._build = build
        self._seed = seed
        self._rounds = KeptRounds(state.path)
        self._queries = state.path / "queries.npy"
        self._seen: bytes | None = None  # the nonce that what follows was read or written under
        self._attempt = 0
        self._counts: NDArray[np.int64] = np.zeros((2, 0), np.int64)
        self.half = build()
        self._at: int | None = 0  # after which round the discriminator is in memory, None where nobody knows
        self._random = torch.get_rng_state()

    @contextmanager
    def answering(
        self, envelope: Envelope, policy: ReleasePolicy, asked: NDArray[np.int64], drawn: NDArray[np.int64]
    ) -> Iterator[DiscriminatorHalf]:
        """Give the discriminator that answers a question, and keep what became of it if the body raises nothing.

        Torch's default random state inside is the client's own; that of the process stays as it was.

        Parameters
        ----------
        envelope : Envelope
            Of the question that is answered.
        policy : ReleasePolicy
            The node's policy: how often one image may be asked about.
        asked : int64 array (samples,) or (0,)
            The real images whose label maps the synthetic ones were made from, where these are the node's own.
        drawn : int64 array (samples,)
            The real images that the node draws itself for the answer.

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
        base, again = self._rounds.before(envelope)
        counts = self._counts
        if not again:
            counts = self._count(asked, drawn)
            policy.check_queries(counts)
        with torch.random.fork_rng(devices=[]):
            self._go_to(base)
            if again:
                yield self.half
                return
            self._seen = None
            nonce = self._lock.renew()
            # Before the answer: one that dies on its way counts, too.
            with whole_file(self._queries) as partial, partial.open("wb") as opened:
                np.save(opened, counts)
            yield self.half
            self.half.optimizer.zero_grad(set_to_none=True)  # a quarter of what waits in memory for the next message
            self._rounds.keep(self.half, envelope, base)
            self._at, self._random = envelope.round_number, torch.get_rng_state()
            self._counts, self._seen = counts, nonce

    def _catch_up(self) -> None:
        """Read what the directory says, unless it is known to say what is in memory."""
        nonce = self._lock.nonce()
        if nonce == self._seen and self._rounds.unchanged():
            return
        if self._at != 0:  # a fresh discriminator stays one
            self._at = None
        self._attempt = self._state.attempt()
        self._rounds.look()
        self._counts = self._read_counts()
        self._seen = nonce

    def _read_counts(self) -> NDArray[np.int64]:
        """Return how often each image was asked about, and drawn; raises StorageError if a file is damaged."""
        try:
            if not self._queries.is_file():
                return np.zeros((2, count_kept(self._state.path)), np.int64)
            counts: NDArray[np.int64] = np.load(self._queries)
        except (OSError, ValueError, EOFError) as error:
            raise self._state.damaged(self._queries.name, error) from error
        return counts

    def _count(self, asked: NDArray[np.int64], drawn: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how often each image is asked about, and drawn, with these."""
        images = self._counts.shape[-1]
        return self._counts + np.stack([np.bincount(each, minlength=images) for each in (asked, drawn)])

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
