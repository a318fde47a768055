"""The Flower strategy: a round sends each client its bundle and steps the generator on what comes back."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import partial
from itertools import chain

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from torch import Tensor

from flower_dgan.algorithms.distributed_gan import whose_turn
from flower_dgan.config import Config
from flower_dgan.errors import FederationError
from flower_dgan.federation.attendance import Attendance
from flower_dgan.federation.checkpoint import BEGINNING, Start
from flower_dgan.federation.discriminator import ServerDiscriminator
from flower_dgan.federation.generator_step import GeneratorStep, Step
from flower_dgan.federation.inbox import Inbox
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.outbox import Outbox
from flower_dgan.federation.round_report import RoundReport
from flower_dgan.flower.grid import FastGrid
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.schedule import replies_needed
from flower_dgan.networks.build import discriminator_shapes
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import server_discriminator_half

logger = logging.getLogger("flwr")


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
    training : Training
        Which training the messages belong to.
    on_round : callable
        Called with the :class:`RoundReport` of each finished round.
    returns : callable
        Gives the rounds to whose end this server could go back after a crash.
    start : Start
        Where the training goes on; from its first round if nothing is said.
    admit : callable
        Asked while a round waits and before it begins, with the ids of the connected nodes and of the clients that are
        left out: returns those that take part from now on. One with the name of a client takes its place, and is sent
        what that one was.
    on_change : callable
        Called with a client's name and a sentence when it is left out.

    Attributes
    ----------
    answered : dict of str to int
        Client name to the last round of which there is an answer, 0 for none.
    """

    def __init__(
        self,
        generator: GeneratorHalf,
        clients: Sequence[JoinedClient],
        config: Config,
        training: Training,
        on_round: Callable[[RoundReport], None],
        returns: Callable[[], tuple[int, ...]] = tuple,
        start: Start = BEGINNING,
        admit: Callable[[Set[int], Set[int]], Sequence[JoinedClient]] = lambda *_: (),
        on_change: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._generator = generator
        self._clients = {client.node_id: client for client in clients}
        self._config = config
        self._on_round = on_round
        self._admit = admit
        self._shape = BundleShape.of(config, clients[0].labels.classes)
        self._outbox = Outbox(generator, config, training, self._shape, returns)
        self._outbox.moving.update(start.moving)
        self._server_discriminator = None
        if config.algorithm.upload != "none":
            half = server_discriminator_half(config, clients[0].labels.classes)
            self._server_discriminator = ServerDiscriminator(half, start.discriminator)
            self._outbox.common = self._server_discriminator.parameters()
        self._step = GeneratorStep(generator, config, self._server_discriminator, start.past)
        shapes = discriminator_shapes(config, clients[0].labels.classes)
        self._attendance = Attendance(config, on_change)
        self._inbox = Inbox(self._outbox, config, self._shape, shapes, self._server_discriminator, self._attendance)
        self._grid: FastGrid | None = None
        self._first = self._drawn_rounds = start.round_number
        self.answered = {client.name: start.answered.get(client.name, 0) for client in clients}

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
            If bundles are to be sent ahead through another grid than a :class:`~flower_dgan.flower.grid.FastGrid`.
        """
        self._outbox.seconds = 0.0
        exchange, schedule, round_number = self._config.exchange, self._config.schedule, self._first + server_round
        if not isinstance(grid, FastGrid):
            if exchange.in_flight > 1 or not schedule.is_synchronous:
                raise TypeError("exchange.in_flight=2 and schedule=asynchronous need a FastGrid")
            return list(self._draw_round(round_number, self._asked(round_number)))
        self._grid = grid
        grid.while_waiting = partial(self._look, grid)
        if not schedule.is_synchronous:
            present = self._present(grid)
            grid.await_any(replies_needed(schedule, len(present)), schedule.deadline)
            return self._draw_round(round_number, [n for n in present if n not in self._outbox.at_work()])
        if self._attendance.left_out():
            self._take_in(grid)
        grid.await_group(str(round_number))
        last = min(exchange.rounds, round_number + exchange.in_flight - 1)
        first, self._drawn_rounds = self._drawn_rounds + 1, last
        return chain.from_iterable(self._draw_round(n, self._asked(n)) for n in range(first, last + 1))

    def _present(self, grid: FastGrid) -> list[int]:
        """Return the clients that are connected, those that came just now among them.

        Raises
        ------
        FederationError
            If they are fewer than ``exchange.min_nodes`` for ``exchange.join_timeout`` seconds.
        """
        deadline = time.monotonic() + self._config.exchange.join_timeout
        while True:
            connected = self._take_in(grid)
            left_out = self._attendance.left_out()
            present = [n for n in self._clients if n in connected and n not in left_out]
            if len(present) >= self._config.exchange.min_nodes:
                return present
            if time.monotonic() > deadline:
                self._attendance.gone(self._clients, connected)
                self._attendance.require(present, self._clients)
            time.sleep(1.0)

    def _look(self, grid: FastGrid) -> None:
        """While a round waits: take in who came, and do not wait for who is gone."""
        connected = self._take_in(grid)
        for node_id in self._attendance.gone(self._outbox.at_work(), connected):
            grid.give_up(node_id)

    def _take_in(self, grid: FastGrid) -> set[int]:
        """Take in the nodes that came, and return all that are connected."""
        connected = set(grid.get_node_ids())
        for client in self._admit(connected, self._attendance.returning(connected)):
            before = next((n for n, known in self._clients.items() if known.name == client.name), client.node_id)
            clients = self._clients | {before: client}  # in its place, so that the order of additions stays
            self._clients = {(client.node_id if n == before else n): kept for n, kept in clients.items()}
            self._outbox.redirect(before, client.node_id)
            if before != client.node_id:
                grid.redirect(before, client.node_id)
            if client.queue:
                grid.queues.add(client.node_id)
            self._attendance.answered(client.node_id)
            self.answered.setdefault(client.name, 0)
        return connected

    def _asked(self, round_number: int) -> list[int]:
        """Return the clients of a round that waits for all of them: all but those that are left out.

        Raises
        ------
        FederationError
            If they are fewer than ``exchange.min_nodes``.
        """
        left_out = self._attendance.left_out()
        nodes = [node_id for node_id in self._clients if node_id not in left_out]
        self._attendance.require(nodes, self._clients)
        return nodes if self._config.algorithm.turns == "together" else [whose_turn(nodes, round_number)]

    def _draw_round(self, round_number: int, nodes: Sequence[int]) -> Iterator[Message]:
        return self._outbox.draw_round(round_number, self._clients, nodes, self.answered)

    def snapshot(self) -> dict[str, Tensor]:
        """Return all that a server needs to go on, by name: the generator, the clients' past, the discriminators."""
        moving = {
            f"moving:{name}:{key}": torch.from_numpy(value)
            for name, parameters in self._outbox.moving.items()
            for key, value in parameters.items()
        }
        own = self._server_discriminator.snapshot() if self._server_discriminator else {}
        return self._generator.snapshot() | self._step.snapshot() | moving | own

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
            If no reply of the round can be used; if what the server made of them is not finite.
        """
        arrived = time.monotonic()
        round_number = self._first + server_round
        accepted, rejected = self._inbox.read(round_number, replies, self._clients)
        if self._grid is not None:
            for node_id in set(self._clients) - self._outbox.at_work():
                self._grid.give_up(node_id)
        if not accepted and (not rejected or self._is_last_chance()):
            reasons = "; ".join(f"{name}: {reason}" for name, reason in rejected.items()) or "Nobody answered in time."
            raise FederationError(f"Round {round_number} has no usable feedback. {reasons}")
        answers = [accepted[node_id] for node_id in self._clients if node_id in accepted]
        oldest = min((answer.proposal.drawn_at for answer in answers), default=self._generator.steps_done)
        staleness = self._generator.steps_done - oldest
        step = self._step.take(round_number, answers, len(self._clients)) if answers else Step()
        came_back = {a.client.name: a.message.discriminator for a in answers if a.message.discriminator is not None}
        bounded = Counter(step.bounded)
        if self._config.algorithm.swap_interval:
            moving, acted = self._step.bound_discriminators(came_back)
            bounded.update(acted)
            self._outbox.swap(round_number, moving)
        self.answered |= {answer.client.name: round_number - answer.rounds_late for answer in answers}
        self._on_round(
            RoundReport(
                round_number=round_number,
                images=len({id(answer.proposal) for answer in answers}) * self._shape.samples,  # shared ones once
                staleness=staleness,
                generator_seconds=self._outbox.seconds + time.monotonic() - arrived,
                clients={
                    a.client.name: a.report(
                        step.weights[a.client.name],
                        self._step.losses(a),
                        bounded[a.client.name],
                        capped=a.client.name in step.capped,
                    )
                    for a in answers
                },
                rejected=rejected,
                late=tuple(client.name for n, client in self._clients.items() if n in self._outbox.at_work()),
                bounded_together=step.together,
            )
        )
        last = round_number == self._config.exchange.rounds
        return (ArrayRecord(self._generator.average.state_dict()) if last else None), None

    def _is_last_chance(self) -> bool:
        """Return whether nobody else could have answered in this round or will answer later to what is out."""
        if self._config.schedule.is_synchronous:
            return self._config.algorithm.turns == "together"
        return not self._outbox.at_work()

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no message: the segmentation table is made once, after the last round."""
        return ()

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing, as nothing was asked."""
        return None
