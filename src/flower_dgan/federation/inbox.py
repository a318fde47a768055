"""What the clients answer in a round: which replies can be used, and what is wrong with the others."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import Message

from flower_dgan.config import Config
from flower_dgan.errors import ProtocolError
from flower_dgan.federation.attendance import Attendance
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.outbox import Key, Outbox
from flower_dgan.federation.spill import Spill
from flower_dgan.gan.exchange import Answer, Proposal
from flower_dgan.gan.releases import Releases
from flower_dgan.gan.schedule import discount
from flower_dgan.networks.build import DiscriminatorForm
from flower_dgan.wire.answer_message import Effort, read_answer
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.refusals import reason_of


@dataclass
class Arrivals:
    """How the answers of one round came in, by the names of the clients.

    Attributes
    ----------
    efforts : dict of str to Effort
        What each answer that can be used cost its node.
    late : dict of str to int
        Rounds between sending these bundles and the answers.
    discounts : dict of str to float
        What these answers are worth, in (0, 1].
    rejected : dict of str to str
        The reason against the answers of others, by name; silence is one.
    """

    efforts: dict[str, Effort] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    discounts: dict[str, float] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)


class Inbox:
    """Reads replies and takes what they are about out of the outbox.

    Parameters
    ----------
    outbox : Outbox
        What was sent.
    config : Config
        The run's configuration.
    shape : BundleShape
        Sizes of the bundles.
    releases : Releases
        What an answer may bring.
    discriminator : DiscriminatorForm
        That of the clients' discriminators.
    attendance : Attendance
        Is told who answers and who does not.
    spill : Spill
        Where answers are kept until all are there.
    """

    def __init__(
        self,
        outbox: Outbox,
        config: Config,
        shape: BundleShape,
        releases: Releases,
        discriminator: DiscriminatorForm,
        attendance: Attendance,
        spill: Spill,
    ) -> None:
        self._outbox = outbox
        self._schedule = config.schedule
        self._shape = shape
        self._discriminator = discriminator
        self._entries = discriminator.entries if releases.changes else 0
        self._timeout = config.exchange.timeout
        self._attendance = attendance
        self._spill = spill

    def read(
        self, round_number: int, replies: Iterable[Message], present: Callable[[], Mapping[int, JoinedClient]]
    ) -> tuple[dict[str, Proposal], dict[str, Answer], Arrivals]:
        """Read replies, each as it comes: of none more is kept than what it says.

        Parameters
        ----------
        round_number : int
            The round that closes with them.
        replies : iterable of Message
            Replies to messages of this round or earlier ones.
        present : callable
            Returns all clients by the ids of their nodes; others may come while replies are waited for.

        Returns
        -------
        dict of str to Proposal, dict of str to Answer
            By the names of the clients whose answers can be used, in the order of ``present``, in which gradients are
            added up: what was drawn for each, and what it said.
        Arrivals
            How all answers came in.
        """
        arrived, proposals, answers = Arrivals(), dict[str, Proposal](), dict[str, Answer]()
        for reply in replies:
            node_id, group = reply.metadata.src_node_id, reply.metadata.group_id
            sent_in = int(group) if group.isdecimal() else 0
            key, name = (sent_in, node_id), f"node {node_id}"
            proposal = self._outbox.take(key)
            if proposal is None:
                arrived.rejected[name] = "a reply that nobody asked for"
                continue
            client, rounds_late = present()[node_id], round_number - sent_in
            name, worth = client.name, discount(self._schedule, rounds_late)
            if reply.has_error():
                arrived.rejected[name] = reason_of(reply.error)
            elif not worth:
                arrived.rejected[name] = f"more than {self._schedule.max_staleness} rounds old"
            else:
                try:
                    answer, arrived.efforts[name] = self._answer(reply, client, key)
                    answers[name] = self._spill.answer(answer, len(present()))
                    del answer
                    proposals[name] = proposal
                    arrived.late[name], arrived.discounts[name] = rounds_late, worth
                except ProtocolError as error:
                    arrived.rejected[name] = reason_of(error)
            if name in answers:
                self._attendance.answered(node_id)
            else:
                self._attendance.missed(node_id, name, arrived.rejected[name])
            del reply  # before the next one is waited for
        clients = present()
        for key in self._overdue(round_number):
            self._outbox.take(key)
            name = clients[key[1]].name
            arrived.rejected[name] = self._attendance.silence(key[1])
            self._attendance.missed(key[1], name, arrived.rejected[name], silent=True)
        self._outbox.forget()
        arrived.rejected = dict(sorted(arrived.rejected.items()))
        there = [client.name for client in clients.values() if client.name in answers]
        arrived.discounts = {name: arrived.discounts[name] for name in there}
        return {name: proposals[name] for name in there}, {name: answers[name] for name in there}, arrived

    def _overdue(self, round_number: int) -> list[Key]:
        """Return what is not waited for any more: this round's, or, where rounds do not wait, what is too old."""
        if self._schedule.is_synchronous:
            return [key for key in self._outbox.proposals if key[0] == round_number]
        return [key for key in self._outbox.proposals if self._outbox.seconds_since(key) > self._timeout]

    def _answer(self, reply: Message, client: JoinedClient, key: Key) -> tuple[Answer, Effort]:
        weights = self._discriminator.shapes if self._outbox.wants_weights(key) else None
        return read_answer(reply.content, self._shape.holding(client.labels.channels), weights, self._entries)
