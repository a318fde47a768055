"""What each client is sent in a round, and what the server keeps of it until the answer is there."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from weakref import ref

from flwr.app import Message

from flower_dgan.algorithms.base import AnyAlgorithm
from flower_dgan.federation.open_bundles import OpenBundles
from flower_dgan.federation.spill import Spill
from flower_dgan.gan.exchange import Proposal
from flower_dgan.gan.server_state import ServerState
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question

Key = tuple[int, int]
"""Round and node id."""


class Outbox:
    """Draws bundles and remembers what they were drawn from.

    Parameters
    ----------
    algorithm : Algorithm
        What is asked.
    state : ServerState
        The server's part of the training.
    training : Training
        Which training the messages belong to.
    shape : BundleShape
        Sizes of its bundles.
    returns : callable
        Gives the rounds to whose end this server could go back after a crash.
    spill : Spill
        Where what was drawn is kept.
    open_bundles : OpenBundles or None
        Where what was sent is kept for a server that goes on; None for nowhere.

    Attributes
    ----------
    proposals : dict of (int, int) to Proposal
        Round and node id to what was drawn, until the answer is there.
    seconds : float
        Time that drawing took since this was last set to zero.
    """

    def __init__(
        self,
        algorithm: AnyAlgorithm,
        state: ServerState,
        training: Training,
        shape: BundleShape,
        returns: Callable[[], tuple[int, ...]],
        spill: Spill,
        open_bundles: OpenBundles | None = None,
    ) -> None:
        self._algorithm = algorithm
        self._state = state
        self._training = training
        self._shape = shape
        self._returns = returns
        self._spill = spill
        self._open = open_bundles
        self.proposals: dict[Key, Proposal] = {}
        self.seconds = 0.0
        self._drawn_at: dict[Key, float] = {}
        self._wants_weights: set[Key] = set()

    def draw_round(
        self, round_number: int, node_of: Callable[[str], int], asked: Sequence[str], answered: Mapping[str, int]
    ) -> Iterator[Message]:
        """Draw the bundles of a round, one after the other, each when it is asked for.

        Parameters
        ----------
        round_number : int
            Which round.
        node_of : callable
            Returns the node of a client, when its bundle is drawn.
        asked : sequence of str
            The clients that are asked.
        answered : mapping of str to int
            Client name to the last round of which there is an answer.
        """
        start = time.monotonic()
        returns = self._returns()
        # Clients that are sent the same have one, also where it is put into a file.
        kept: dict[int, tuple[ref[Proposal], Proposal]] = {}
        for name, proposal, question in self._algorithm.ask(self._state, round_number, asked):
            node_id = node_of(name)
            envelope = Envelope(self._training, round_number, answered[name], returns)
            records = write_question(envelope, question, self._shape)
            if self._open is not None:
                records = self._open.send(round_number, name, records)
            key = round_number, node_id
            known, spilled = kept.get(id(proposal), (None, proposal))
            if known is None or known() is not proposal:
                spilled = self._spill.proposal(proposal, len(asked))
                kept[id(proposal)] = ref(proposal), spilled
            self.proposals[key] = spilled
            del proposal, spilled  # before the next one is drawn
            self._drawn_at[key] = time.monotonic()
            if question.return_weights:
                self._wants_weights.add(key)
            self.seconds += time.monotonic() - start
            yield Message(records, dst_node_id=node_id, message_type=EXCHANGE, group_id=str(round_number))
            start = time.monotonic()

    def take(self, key: Key) -> Proposal | None:
        """Return what was drawn, and wait for its answer no longer; None if nothing is under way."""
        return self.proposals.pop(key, None)

    def wants_weights(self, key: Key) -> bool:
        """Return whether the answer is to bring the client's discriminator."""
        return key in self._wants_weights

    def seconds_since(self, key: Key) -> float:
        """Return the seconds since a bundle was drawn."""
        return time.monotonic() - self._drawn_at[key]

    def forget(self) -> None:
        """Forget all about bundles that are not under way any more."""
        self._drawn_at = {key: when for key, when in self._drawn_at.items() if key in self.proposals}
        self._wants_weights &= set(self.proposals)

    def redirect(self, before: int, after: int) -> None:
        """Note that a node took the place of another."""

        def moved(key: Key) -> Key:
            return (key[0], after) if key[1] == before else key

        self.proposals = {moved(key): kept for key, kept in self.proposals.items()}
        self._drawn_at = {moved(key): when for key, when in self._drawn_at.items()}
        self._wants_weights = {moved(key) for key in self._wants_weights}

    def at_work(self) -> set[int]:
        """Return the nodes that have not answered yet."""
        return {node_id for _, node_id in self.proposals}
