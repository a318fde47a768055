"""What each client is sent in a round, and what the server keeps of it until the answer is there."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from flwr.app import Message, RecordDict

from flower_dgan.algorithms.mdgan import batches_of, swap_partners, swaps
from flower_dgan.config import Config
from flower_dgan.data import Views
from flower_dgan.data.channels import held
from flower_dgan.federation.join import JoinedClient
from flower_dgan.gan.bundle import ClientLabels, draw_bundle, draw_shared
from flower_dgan.gan.exchange import Proposal
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.wire.bundle_message import EXCHANGE, BundleMessage
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.formats import encode_images
from flower_dgan.wire.parameters import Parameters
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import bundle_settings


class Outbox:
    """Draws bundles and remembers what they were drawn from.

    Parameters
    ----------
    generator : GeneratorHalf
        Draws the images.
    config : Config
        The run's configuration.
    training : Training
        Which training the messages belong to.
    shape : BundleShape
        Sizes of its bundles.
    returns : callable
        Gives the rounds to whose end this server could go back after a crash.

    Attributes
    ----------
    proposals : dict of (int, int) to Proposal
        Round and node id to what was drawn, until the answer is there.
    moving : dict of str to Parameters
        Discriminators on their way to another client, by the name of that client.
    common : Parameters or None
        The server's discriminator, which every client goes on with; None if there is none.
    seconds : float
        Time that drawing took since this was last set to zero.
    """

    def __init__(
        self,
        generator: GeneratorHalf,
        config: Config,
        training: Training,
        shape: BundleShape,
        returns: Callable[[], tuple[int, ...]],
    ) -> None:
        self._generator = generator
        self._config = config
        self._training = training
        self._settings = bundle_settings(config)
        self._shape = shape
        self._returns = returns
        self.proposals: dict[tuple[int, int], Proposal] = {}
        self.moving: dict[str, Parameters] = {}
        self.common: Parameters | None = None
        self.seconds = 0.0
        self._drawn_at: dict[tuple[int, int], float] = {}

    def draw_round(
        self, round_number: int, clients: Mapping[int, JoinedClient], nodes: Sequence[int], answered: Mapping[str, int]
    ) -> Iterator[Message]:
        """Draw the bundles of a round, one after the other.

        Parameters
        ----------
        round_number : int
            Which round.
        clients : mapping of int to JoinedClient
            All clients by the ids of their nodes.
        nodes : sequence of int
            Those that are asked.
        answered : mapping of str to int
            Client name to the last round of which there is an answer.
        """
        start = time.monotonic()
        labels = [client.labels for client in clients.values()]
        shared = tuple(
            self._generator.for_each(
                lambda number: self._generator.propose(draw_shared(labels, self._settings, round_number, number)),
                range(self._config.algorithm.shared_batches),
            )
        )
        places = {node_id: place for place, node_id in enumerate(clients)}
        returns = self._returns()

        def content(node_id: int) -> tuple[int, RecordDict]:
            client = clients[node_id]
            views, proposal, sent = self._draw(client.labels, round_number, places[node_id], shared)
            self.proposals[round_number, node_id] = proposal
            self._drawn_at[round_number, node_id] = time.monotonic()
            images = torch.cat([each.images for each in sent])[:, held(client.channels)]
            classes = torch.cat([each.one_hot.argmax(1) for each in sent]).to(torch.uint8).numpy()
            message = BundleMessage(
                training=self._training,
                round_number=round_number,
                answered=answered[client.name],
                returns=returns,
                views=views,
                images=encode_images(images, self._shape.image_format),
                label_maps=classes if self._shape.classes else None,
                swap=swaps(self._config.algorithm.swap_interval, round_number),
                discriminator=self.moving.get(client.name, self.common),
            )
            return node_id, message.to_records()

        for node_id, records in self._generator.for_each(content, nodes):
            self.seconds += time.monotonic() - start
            yield Message(records, dst_node_id=node_id, message_type=EXCHANGE, group_id=str(round_number))
            start = time.monotonic()

    def _draw(
        self, labels: ClientLabels, round_number: int, place: int, shared: Sequence[Proposal]
    ) -> tuple[Views | None, Proposal, Sequence[Proposal]]:
        """Return the views of a client's label maps, what it gives feedback on, and all that it is sent."""
        if not shared:
            views, inputs = draw_bundle(labels, self._settings, round_number)
            proposal = self._generator.propose(inputs)
            if not self._shape.colours:
                views = replace(views, colours=None)
            return views if self._shape.views else None, self._generator.keep(proposal), [proposal]
        judged, trained_on = (shared[number] for number in batches_of(place, len(shared)))
        separate = self._config.algorithm.separate_batches
        return None, judged, [trained_on, judged] if separate else [judged]

    def seconds_since(self, key: tuple[int, int]) -> float:
        """Return the seconds since a bundle, by round and node id, was drawn."""
        self._drawn_at = {each: when for each, when in self._drawn_at.items() if each in self.proposals}
        return time.monotonic() - self._drawn_at[key]

    def redirect(self, before: int, after: int) -> None:
        """Note that a node took the place of another."""

        def moved(key: tuple[int, int]) -> tuple[int, int]:
            return (key[0], after) if key[1] == before else key

        self.proposals = {moved(key): kept for key, kept in self.proposals.items()}
        self._drawn_at = {moved(key): when for key, when in self._drawn_at.items()}

    def at_work(self) -> set[int]:
        """Return the nodes that have not answered yet."""
        return {node_id for _, node_id in self.proposals}

    def swap(self, round_number: int, discriminators: Mapping[str, Parameters]) -> None:
        """Give each discriminator that came back in a round to another client; it is sent in the next one."""
        partners = swap_partners(list(discriminators), self._config.seed, round_number)
        self.moving = {partners[name]: parameters for name, parameters in discriminators.items()}
