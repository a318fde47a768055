"""The Flower strategy: a round sends each client its bundle and steps the generator on what comes back."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from itertools import chain
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from flower_dgan.algorithms.base import AnyAlgorithm
from flower_dgan.algorithms.judging_together import JudgingTogether
from flower_dgan.config import Config
from flower_dgan.errors import FederationError
from flower_dgan.federation.answer_figures import answer_figures
from flower_dgan.federation.attendance import Attendance
from flower_dgan.federation.inbox import Inbox
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.open_bundles import OpenBundles
from flower_dgan.federation.outbox import Outbox
from flower_dgan.federation.round_report import ClientRound, RoundReport
from flower_dgan.federation.spill import Spill
from flower_dgan.flower.grid import FastGrid
from flower_dgan.gan.learning import Step
from flower_dgan.gan.schedule import replies_needed
from flower_dgan.gan.server_state import ServerState
from flower_dgan.networks.build import discriminator_form
from flower_dgan.run.member_records import AWAY
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.protocol import Training

logger = logging.getLogger("flwr")


class DganStrategy(Strategy):
    """Distributed GAN: synthetic batches out, discriminator feedback back, no weights.

    Parameters
    ----------
    algorithm : Algorithm
        What is asked in a round, and what is learned from the answers.
    state : ServerState
        The server's part of the training; changed in place.
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
    done : int
        Rounds that were done before, in an earlier attempt.
    answered : mapping of str to int
        Client name to the last of these that it answered.
    admit : callable
        Asked while a round waits and before it begins, with the ids of the connected nodes and of the clients that are
        left out: returns those that take part from now on. One with the name of a client takes its place, and is sent
        what that one was.
    on_change : callable
        Called with a client's name, a sentence and the kind of change when it is left out, or its node is away.
    scratch : Path or None
        Directory on whose disk what was drawn, and the answers, wait for the end of a round where there are too many
        for memory; None to keep them in memory.
    open_bundles : OpenBundles or None
        Where what was sent is kept for a server that goes on; None for nowhere.

    Attributes
    ----------
    answered : dict of str to int
        Client name to the last round of which there is an answer, 0 for none.
    """

    def __init__(
        self,
        algorithm: AnyAlgorithm,
        state: ServerState,
        clients: Sequence[JoinedClient],
        config: Config,
        training: Training,
        on_round: Callable[[RoundReport], None],
        returns: Callable[[], tuple[int, ...]] = tuple,
        done: int = 0,
        answered: Mapping[str, int] = {},
        admit: Callable[[Set[int], Set[int]], Sequence[JoinedClient]] = lambda *_: (),
        on_change: Callable[[str, str, str], None] = lambda *_: None,
        scratch: Path | None = None,
        open_bundles: OpenBundles | None = None,
    ) -> None:
        self._algorithm = algorithm
        self._state = state
        self._clients = {client.node_id: client for client in clients}
        self._config = config
        self._on_round = on_round
        self._admit = admit
        classes = clients[0].labels.classes
        self._shape = BundleShape.of(config, classes)
        spill = Spill(scratch)
        self._outbox = Outbox(algorithm, state, training, self._shape, returns, spill, open_bundles)
        self._attendance = Attendance(config, on_change)
        self._inbox = Inbox(
            self._outbox,
            config,
            self._shape,
            algorithm.releases,
            discriminator_form(config, classes),
            self._attendance,
            spill,
        )
        self._on_change = on_change
        self._loss = None if algorithm.releases.real_pixels else config.algorithm.loss
        scored = isinstance(algorithm, JudgingTogether)  # whose clients send scores, which nothing has weighed
        self._weight = 1.0 if scored else config.algorithm.generator_weight or 1.0
        self._said_away: set[int] = set()
        self._grid: FastGrid | None = None
        self._first = self._drawn_rounds = done
        self.answered = {client.name: answered.get(client.name, 0) for client in clients}

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
            "\t└──> images as %s, feedback as %s; algorithm %s",
            config.exchange.image_format,
            config.exchange.feedback_format,
            config.algorithm.name,
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Draw each client's next bundle, or its first two where two are in flight.

        A FastGrid is given each message as it is made, so that the first client can start at once, and gives each reply
        as it comes, so that the messages of many clients are never all in memory.

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
            grid.await_any(replies_needed(schedule, len(present)), schedule.deadline, as_they_come=True)
            return self._draw_round(round_number, [n for n in present if n not in self._outbox.at_work()])
        if self._attendance.left_out():
            self._take_in(grid)
        grid.await_group(str(round_number), as_they_come=True)
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
            self._away(node_id)

    def _away(self, node_id: int) -> None:
        """Say once that a node is not connected; where it comes back its client is said to be there again."""
        if node_id not in self._said_away:
            self._said_away.add(node_id)
            seconds = self._config.exchange.join_timeout
            self._on_change(self._clients[node_id].name, f"was not connected for {seconds:g} s", AWAY)

    def _take_in(self, grid: FastGrid) -> set[int]:
        """Take in the nodes that came, and return all that are connected."""
        connected = set(grid.get_node_ids())
        for client in self._admit(connected, self._attendance.returning(connected)):
            before = next((n for n, known in self._clients.items() if known.name == client.name), client.node_id)
            clients = self._clients | {before: client}  # in its place, so that the order of additions stays
            self._clients = {(client.node_id if n == before else n): kept for n, kept in clients.items()}
            self._state.clients = {each.name: each.labels for each in self._clients.values()}
            self._outbox.redirect(before, client.node_id)
            if before != client.node_id:
                grid.redirect(before, client.node_id)
            if client.queue:
                grid.queues.add(client.node_id)
            self._attendance.answered(client.node_id)
            self._said_away -= {before, client.node_id}
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
        by_name = {self._clients[node_id].name: node_id for node_id in nodes}
        return [by_name[name] for name in self._algorithm.takes_part(list(by_name), round_number)]

    def _draw_round(self, round_number: int, nodes: Sequence[int]) -> Iterator[Message]:
        asked = [self._clients[node_id].name for node_id in nodes]
        return self._outbox.draw_round(round_number, self._place, asked, self.answered)

    def _place(self, name: str) -> int:
        """Return the node of a client as it is now: another may have taken its place since the round began."""
        return next(node_id for node_id, client in self._clients.items() if client.name == name)

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
        round_number = self._first + server_round
        proposals, answers, arrived = self._inbox.read(round_number, replies, lambda: self._clients)
        begin = time.monotonic()
        if self._grid is not None:
            for node_id in set(self._clients) - self._outbox.at_work():
                self._grid.give_up(node_id)
        if not answers and (not arrived.rejected or self._is_last_chance()):
            reasons = "; ".join(f"{name}: {why}" for name, why in arrived.rejected.items())
            raise FederationError(
                f"Round {round_number} has no usable feedback. {reasons or 'Nobody answered in time.'}"
            )
        done = self._state.generator.steps_done
        staleness = done - min((proposal.drawn_at for proposal in proposals.values()), default=done)
        step = Step()
        if answers:
            step = self._algorithm.learn(self._state, round_number, proposals, answers, arrived.discounts)
            step.check(answers)
        losses = {name: each / self._weight for name, each in step.losses.items()}
        label_maps = {name: each.one_hot for name, each in proposals.items()}
        figures = answer_figures(answers, losses, self._loss, label_maps)
        self.answered |= {name: round_number - late for name, late in arrived.late.items()}
        self._on_round(
            RoundReport(
                round_number=round_number,
                images=len({id(proposal) for proposal in proposals.values()}) * self._shape.samples,  # shared ones once
                staleness=staleness,
                generator_seconds=self._outbox.seconds + time.monotonic() - begin,
                clients={
                    name: ClientRound(
                        discriminator_loss=answer.discriminator_loss,
                        generator_loss=float(step.losses[name].mean()),
                        busy_seconds=arrived.efforts[name].busy_seconds,
                        compute_seconds=arrived.efforts[name].compute_seconds,
                        peak_memory_mib=arrived.efforts[name].peak_memory_mib,
                        rounds_late=arrived.late[name],
                        weight=step.weights[name],
                        bounded=step.bounded.get(name, 0),
                        capped=name in step.capped,
                        figures=figures[name],
                    )
                    for name, answer in answers.items()
                },
                rejected=arrived.rejected,
                late=tuple(client.name for n, client in self._clients.items() if n in self._outbox.at_work()),
                bounded_together=step.together,
            )
        )
        last = round_number == self._config.exchange.rounds
        return (ArrayRecord(self._state.generator.average.state_dict()) if last else None), None

    def _is_last_chance(self) -> bool:
        """Return whether nobody else could have answered in this round or will answer later to what is out."""
        if self._config.schedule.is_synchronous:
            names = [client.name for client in self._clients.values()]
            return len(self._algorithm.takes_part(names, 1)) == len(names)
        return not self._outbox.at_work()

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no message: the segmentation table is made once, after the last round."""
        return ()

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing, as nothing was asked."""
        return None
