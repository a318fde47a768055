"""The Flower strategy: a round sends each client its bundle and steps the generator on what comes back."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from flower_dgan.algorithm.bundle import draw_bundle
from flower_dgan.algorithm.exchange import Feedback
from flower_dgan.algorithm.generator import GeneratorHalf, Proposal, scheduled_rate
from flower_dgan.algorithm.merge import client_weights
from flower_dgan.config import Config
from flower_dgan.errors import FederationError, ProtocolError
from flower_dgan.grid import FastGrid
from flower_dgan.join import JoinedClient
from flower_dgan.messages import EXCHANGE, BundleMessage, BundleShape, FeedbackMessage
from flower_dgan.wire_formats import decode_gradients, encode_images
from flower_dgan.wiring import bundle_settings

logger = logging.getLogger("flwr")


@dataclass(frozen=True)
class ClientRound:
    """What one client contributed to a round.

    Attributes
    ----------
    discriminator_loss, generator_loss : float
        Means over the bundle.
    busy_seconds, compute_seconds : float
        Time that the client spent on its message, and the part of it that was the discriminator's.
    peak_memory_mib : float
        Largest resident memory of the client's process so far.
    """

    discriminator_loss: float
    generator_loss: float
    busy_seconds: float
    compute_seconds: float
    peak_memory_mib: float


@dataclass(frozen=True)
class RoundReport:
    """What happened in a round.

    Attributes
    ----------
    round_number : int
        From 1.
    images : int
        Synthetic images whose feedback was used.
    staleness : int
        Steps that the generator had done between drawing these images and using their feedback.
    generator_seconds : float
        Time of drawing and stepping at the server.
    clients : dict of str to ClientRound
        By client name.
    rejected : dict of str to str
        Client name to the reason why its reply was not used.
    """

    round_number: int
    images: int
    staleness: int
    generator_seconds: float
    clients: dict[str, ClientRound]
    rejected: dict[str, str]


class DganStrategy(Strategy):
    """Distributed GAN: synthetic batches out, discriminator feedback back, no weights.

    Parameters
    ----------
    generator : GeneratorHalf
        The server's half; changed in place.
    clients : sequence of JoinedClient
        The nodes that take part.
    config : Config
        The run's configuration.
    on_round : callable
        Called with the :class:`RoundReport` of each finished round.
    """

    def __init__(
        self,
        generator: GeneratorHalf,
        clients: Sequence[JoinedClient],
        config: Config,
        on_round: Callable[[RoundReport], None],
    ) -> None:
        self._generator = generator
        self._clients = {client.node_id: client for client in clients}
        self._config = config
        self._on_round = on_round
        self._settings = bundle_settings(config)
        exchange = config.exchange
        self._shape = BundleShape(
            exchange.exchanges * exchange.batch_size,
            config.data.channels,
            config.data.image_size,
            exchange.image_format,
            exchange.feedback_format,
        )
        self._proposals: dict[tuple[int, int], Proposal] = {}
        self._drawn_rounds = 0
        self._answered = dict.fromkeys(self._clients, 0)
        self._propose_seconds = 0.0

    def summary(self) -> None:
        """Log what runs."""
        config = self._config
        logger.info(
            "\t├──> %d clients, %d rounds of %d exchanges of %d images, %d generator steps a round",
            len(self._clients),
            config.exchange.rounds,
            config.exchange.exchanges,
            config.exchange.batch_size,
            config.exchange.generator_steps,
        )
        logger.info(
            "\t└──> images as %s, feedback as %s; merge by %s",
            config.exchange.image_format,
            config.exchange.feedback_format,
            config.algorithm.merge,
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Draw each client's next bundle, or its first two where two are in flight.

        A FastGrid is given each message as it is made, so that the first client can start at once.

        Raises
        ------
        TypeError
            If bundles are to be sent ahead through another grid than a :class:`~flower_dgan.grid.FastGrid`.
        """
        self._propose_seconds = 0.0
        exchange = self._config.exchange
        if exchange.in_flight > 1:
            if not isinstance(grid, FastGrid):
                raise TypeError("exchange.in_flight=2 needs a FastGrid")
            grid.await_group(str(server_round))
        messages = self._draw_until(min(exchange.rounds, server_round + exchange.in_flight - 1))
        return messages if isinstance(grid, FastGrid) else list(messages)

    def _draw_until(self, last_round: int) -> Iterator[Message]:
        start = time.monotonic()
        while self._drawn_rounds < last_round:
            self._drawn_rounds += 1
            number = str(self._drawn_rounds)
            for node_id, content in self._generator.for_each(self._draw, self._clients):
                self._propose_seconds += time.monotonic() - start
                yield Message(content, dst_node_id=node_id, message_type=EXCHANGE, group_id=number)
                start = time.monotonic()

    def _draw(self, node_id: int) -> tuple[int, RecordDict]:
        """Draw the bundle of a client for the last round that was begun."""
        round_number = self._drawn_rounds
        views, inputs = draw_bundle(self._clients[node_id].labels, self._settings, round_number)
        self._proposals[round_number, node_id] = proposal = self._generator.propose(inputs)
        images = encode_images(proposal.images, self._shape.image_format)
        return node_id, BundleMessage(round_number, self._answered[node_id], views, images).to_records()

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Step the generator on the feedback of every client that answered properly.

        Returns
        -------
        tuple
            The generator's parameters after the last round, None before; and None.

        Raises
        ------
        FederationError
            If no reply of the round can be used.
        """
        arrived = time.monotonic()
        accepted, rejected = self._read(replies)
        if not accepted:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in rejected.items())
            raise FederationError(f"Round {server_round} has no usable feedback. {reasons}")
        nodes = [node_id for node_id in self._clients if node_id in accepted]
        feedback = [
            Feedback(torch.from_numpy(accepted[n].losses), decode_gradients(accepted[n].gradients, accepted[n].scales))
            for n in nodes
        ]
        weights = client_weights(
            self._config.algorithm.merge, {self._clients[n].name: self._clients[n].images for n in nodes}
        )
        steps = self._config.exchange.generator_steps
        rate = scheduled_rate(server_round, self._config.exchange.rounds, self._config.algorithm.final_rate)
        self._answered |= dict.fromkeys(nodes, server_round)
        drawn = {n: self._proposals.pop((server_round, n)) for n in self._clients}
        staleness = self._generator.steps_done - min(proposal.drawn_at for proposal in drawn.values())
        self._generator.apply([drawn[n] for n in nodes], feedback, weights, steps, rate)
        self._on_round(
            RoundReport(
                round_number=server_round,
                images=len(nodes) * self._shape.samples,
                staleness=staleness,
                generator_seconds=self._propose_seconds + time.monotonic() - arrived,
                clients={
                    self._clients[n].name: ClientRound(
                        accepted[n].discriminator_loss,
                        float(accepted[n].losses.mean()),
                        accepted[n].busy_seconds,
                        accepted[n].compute_seconds,
                        accepted[n].peak_memory_mib,
                    )
                    for n in nodes
                },
                rejected=rejected,
            )
        )
        last = server_round == self._config.exchange.rounds
        return (ArrayRecord(self._generator.average.state_dict()) if last else None), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no message: the segmentation table is made once, after the last round."""
        return ()

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing, as nothing was asked."""
        return None

    def _read(self, replies: Iterable[Message]) -> tuple[dict[int, FeedbackMessage], dict[str, str]]:
        """Split replies into those that follow the protocol and, by client name, the reasons against the others."""
        accepted: dict[int, FeedbackMessage] = {}
        rejected = {client.name: "no reply in time" for client in self._clients.values()}
        for reply in replies:
            node_id = reply.metadata.src_node_id
            if node_id not in self._clients or node_id in accepted:
                rejected[f"node {node_id}"] = "a reply that nobody asked for"
                continue
            name = self._clients[node_id].name
            if reply.has_error():
                rejected[name] = reply.error.reason or f"error {reply.error.code}"
                continue
            try:
                accepted[node_id] = FeedbackMessage.from_records(reply.content, self._shape)
                del rejected[name]
            except ProtocolError as error:
                rejected[name] = str(error)
        return accepted, rejected
