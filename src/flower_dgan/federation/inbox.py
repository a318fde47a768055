"""What the clients answer in a round: which replies can be used, and what is wrong with the others."""

from collections.abc import Iterable, Mapping

from flwr.app import Message

from flower_dgan.algorithms.mdgan import swaps
from flower_dgan.config import Config
from flower_dgan.errors import ProtocolError
from flower_dgan.federation.answer import Answer
from flower_dgan.federation.attendance import Attendance
from flower_dgan.federation.discriminator import ServerDiscriminator
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.outbox import Outbox
from flower_dgan.gan.schedule import discount
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.feedback_message import FeedbackMessage
from flower_dgan.wire.parameters import ParameterShapes
from flower_dgan.wire.refusals import reason_of


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
    discriminator : ParameterShapes or None
        Shapes of a client's discriminator, which comes back in a round that swaps; None where it never does.
    server_discriminator : ServerDiscriminator or None
        That of the server, of which clients upload changes; None if there is none.
    attendance : Attendance
        Is told who answers and who does not.
    """

    def __init__(
        self,
        outbox: Outbox,
        config: Config,
        shape: BundleShape,
        discriminator: ParameterShapes | None,
        server_discriminator: ServerDiscriminator | None,
        attendance: Attendance,
    ) -> None:
        self._outbox = outbox
        self._schedule = config.schedule
        self._swap_interval = config.algorithm.swap_interval
        self._shape = shape
        self._discriminator = discriminator
        self._entries = server_discriminator.entries if server_discriminator else 0
        self._timeout = config.exchange.timeout
        self._attendance = attendance

    def read(
        self, round_number: int, replies: Iterable[Message], clients: Mapping[int, JoinedClient]
    ) -> tuple[dict[int, Answer], dict[str, str]]:
        """Split replies into those that can be used and the others.

        Parameters
        ----------
        round_number : int
            The round that closes with them.
        replies : iterable of Message
            Replies to messages of this round or earlier ones.
        clients : mapping of int to JoinedClient
            All clients by the ids of their nodes.

        Returns
        -------
        dict of int to Answer
            Node id to what can be used.
        dict of str to str
            Client name to the reason against the others, by name; silence is one.
        """
        accepted: dict[int, Answer] = {}
        rejected: dict[str, str] = {}
        for reply in replies:
            node_id, group = reply.metadata.src_node_id, reply.metadata.group_id
            sent_in = int(group) if group.isdecimal() else 0
            proposal = self._outbox.proposals.pop((sent_in, node_id), None)
            if proposal is None:
                rejected[f"node {node_id}"] = "a reply that nobody asked for"
                continue
            client, rounds_late = clients[node_id], round_number - sent_in
            if reply.has_error():
                rejected[client.name] = reason_of(reply.error)
            elif not discount(self._schedule, rounds_late):
                rejected[client.name] = f"more than {self._schedule.max_staleness} rounds old"
            else:
                try:
                    accepted[node_id] = Answer(client, self._message(reply, client, sent_in), proposal, rounds_late)
                except ProtocolError as error:
                    rejected[client.name] = reason_of(error)
            if node_id in accepted:
                self._attendance.answered(node_id)
            else:
                self._attendance.missed(node_id, client.name, rejected[client.name])
        for key in self._overdue(round_number):
            del self._outbox.proposals[key]
            name = clients[key[1]].name
            rejected[name] = self._attendance.silence(key[1])
            self._attendance.missed(key[1], name, rejected[name], silent=True)
        return accepted, dict(sorted(rejected.items()))

    def _overdue(self, round_number: int) -> list[tuple[int, int]]:
        """Return what is not waited for any more: this round's, or, where rounds do not wait, what is too old."""
        if self._schedule.is_synchronous:
            return [key for key in self._outbox.proposals if key[0] == round_number]
        return [key for key in self._outbox.proposals if self._outbox.seconds_since(key) > self._timeout]

    def _message(self, reply: Message, client: JoinedClient, sent_in: int) -> FeedbackMessage:
        swapped = self._discriminator if swaps(self._swap_interval, sent_in) else None
        return FeedbackMessage.from_records(reply.content, self._shape.holding(client.channels), swapped, self._entries)
