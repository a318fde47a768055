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

from flower_dgan.algorithm.distributed_gan import whose_turn
from flower_dgan.algorithm.generator import GeneratorHalf, scheduled_rate
from flower_dgan.algorithm.losses import LOSSES
from flower_dgan.algorithm.mdgan import swaps
from flower_dgan.algorithm.merge import Weights, client_weights, sample_shares
from flower_dgan.algorithm.schedule import discount, is_synchronous, replies_needed
from flower_dgan.algorithm.scores import merge_scores, score_rule
from flower_dgan.answer import Answer
from flower_dgan.bundle_shape import BundleShape
from flower_dgan.checkpoint import BEGINNING, Start
from flower_dgan.config import Config
from flower_dgan.errors import FederationError, ProtocolError
from flower_dgan.grid import FastGrid
from flower_dgan.join import JoinedClient
from flower_dgan.messages import FeedbackMessage
from flower_dgan.outbox import Outbox
from flower_dgan.parameters import ParameterShapes
from flower_dgan.protocol import Training
from flower_dgan.round_report import RoundReport
from flower_dgan.server_discriminator import ServerDiscriminator
from flower_dgan.wiring import discriminator_shapes, server_discriminator_half

logger = logging.getLogger("flwr")


_MOST_STRIKES = 3


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
        Asked while a round waits, and before one that does not wait for all, with the ids of the connected nodes:
        returns those that take part from now on. One with the name of a client takes its place, and is sent what that
        one was.

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
        admit: Callable[[Set[int]], Sequence[JoinedClient]] = lambda _: (),
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
        self._discriminator = discriminator_shapes(config, clients[0].labels.classes)
        self._rule = score_rule(config.algorithm)
        self._of_scores = LOSSES[config.algorithm.loss].generator if self._rule else None
        self._first = self._drawn_rounds = start.round_number
        self.answered = {client.name: start.answered.get(client.name, 0) for client in clients}
        self._strikes: Counter[int] = Counter()

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
        self._outbox.seconds = 0.0
        exchange, schedule, round_number = self._config.exchange, self._config.schedule, self._first + server_round
        if not isinstance(grid, FastGrid):
            if exchange.in_flight > 1 or not is_synchronous(schedule):
                raise TypeError("exchange.in_flight=2 and schedule=asynchronous need a FastGrid")
            return list(self._draw_round(round_number, self._asked(round_number)))
        grid.while_waiting = partial(self._take_in, grid)
        if not is_synchronous(schedule):
            present = self._present(grid)
            grid.await_any(replies_needed(schedule, len(present)), schedule.deadline)
            return self._draw_round(round_number, [n for n in present if n not in self._outbox.at_work()])
        grid.await_group(str(round_number))
        last = min(exchange.rounds, round_number + exchange.in_flight - 1)
        first, self._drawn_rounds = self._drawn_rounds + 1, last
        return chain.from_iterable(self._draw_round(n, self._asked(n)) for n in range(first, last + 1))

    def _present(self, grid: FastGrid) -> list[int]:
        """Return the clients that are connected, those that came just now among them.

        One whose replies could not be used three times in a row is not asked any more.
        """
        deadline = time.monotonic() + self._config.exchange.timeout
        while True:
            connected = self._take_in(grid)
            if present := [n for n in self._clients if n in connected and self._strikes[n] < _MOST_STRIKES]:
                return present
            if time.monotonic() > deadline:
                raise FederationError("No node is connected any more: start the SuperNodes again and resume.")
            time.sleep(1.0)

    def _take_in(self, grid: FastGrid) -> set[int]:
        """Take in the nodes that came, and return all that are connected."""
        connected = set(grid.get_node_ids())
        for client in self._admit(connected):
            before = next((n for n, known in self._clients.items() if known.name == client.name), client.node_id)
            clients = self._clients | {before: client}  # in its place, so that the order of additions stays
            self._clients = {(client.node_id if n == before else n): kept for n, kept in clients.items()}
            self._outbox.redirect(before, client.node_id)
            grid.redirect(before, client.node_id)
            self._strikes[client.node_id] = 0
            self.answered.setdefault(client.name, 0)
        return connected

    def _asked(self, round_number: int) -> list[int]:
        """Return the clients of a round that waits for all of them."""
        nodes = list(self._clients)
        return nodes if self._config.algorithm.turns == "together" else [whose_turn(nodes, round_number)]

    def _draw_round(self, round_number: int, nodes: Sequence[int]) -> Iterator[Message]:
        return self._outbox.draw_round(round_number, self._clients, nodes, self.answered)

    def snapshot(self) -> dict[str, Tensor]:
        """Return all that a server needs to go on, by name: the generator's half, and the discriminators it has."""
        moving = {
            f"moving:{name}:{key}": torch.from_numpy(value)
            for name, parameters in self._outbox.moving.items()
            for key, value in parameters.items()
        }
        own = self._server_discriminator.snapshot() if self._server_discriminator else {}
        return self._generator.snapshot() | moving | own

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
        round_number = self._first + server_round
        accepted, rejected = self._read(round_number, replies)
        nobody = not accepted and not rejected
        if nobody or (not accepted and (is_synchronous(self._config.schedule) or not self._outbox.at_work())):
            reasons = "; ".join(f"{name}: {reason}" for name, reason in rejected.items()) or "Nobody answered in time."
            raise FederationError(f"Round {round_number} has no usable feedback. {reasons}")
        answers = [accepted[node_id] for node_id in self._clients if node_id in accepted]
        oldest = min((answer.proposal.drawn_at for answer in answers), default=self._generator.steps_done)
        staleness = self._generator.steps_done - oldest
        weights = self._step(round_number, answers) if answers else {}
        if self._config.algorithm.swap_interval:
            came_back = {each.client.name: each.message.discriminator for each in answers}
            self._outbox.swap(round_number, {name: each for name, each in came_back.items() if each is not None})
        self.answered |= {answer.client.name: round_number - answer.rounds_late for answer in answers}
        self._on_round(
            RoundReport(
                round_number=round_number,
                images=len({id(answer.proposal) for answer in answers}) * self._shape.samples,  # shared ones once
                staleness=staleness,
                generator_seconds=self._outbox.seconds + time.monotonic() - arrived,
                clients={a.client.name: a.report(weights[a.client.name], self._losses(a)) for a in answers},
                rejected=rejected,
                late=tuple(client.name for n, client in self._clients.items() if n in self._outbox.at_work()),
            )
        )
        last = round_number == self._config.exchange.rounds
        return (ArrayRecord(self._generator.average.state_dict()) if last else None), None

    def _losses(self, answer: Answer) -> Tensor:
        """Return the generator's losses that are told of a client."""
        if self._server_discriminator is not None:
            return self._server_discriminator.losses
        losses = torch.from_numpy(answer.message.losses)
        return losses if self._of_scores is None else self._of_scores(losses[:, None])

    def _step(self, round_number: int, answers: Sequence[Answer]) -> Weights:
        """Step the generator, and return how much each client counted."""
        config, schedule = self._config, self._config.schedule
        images = {answer.client.name: answer.client.images for answer in answers}
        weights = client_weights(config.algorithm.merge, images)
        if any(answer.rounds_late for answer in answers):
            late = {answer.client.name: discount(schedule, answer.rounds_late) for answer in answers}
            total = sum(weight * late[name] for name, weight in weights.items())
            weights = {name: weight * late[name] / total for name, weight in weights.items()}
        steps, proposals = config.exchange.generator_steps, [answer.proposal for answer in answers]
        rate = scheduled_rate(round_number, config.exchange.rounds, config.algorithm.final_rate)
        feedback = [answer.feedback() for answer in answers]
        if self._server_discriminator is not None:
            self._server_discriminator.learn([each.message.change for each in answers])
            merged = self._server_discriminator.judge(proposals[0])
        elif self._rule is not None:
            labels = [answer.client.labels for answer in answers]
            shares = sample_shares(config.algorithm.merge, labels, weights, proposals[0].inputs().label_maps)
            loss, weight = LOSSES[config.algorithm.loss].generator, config.algorithm.generator_weight
            merged = merge_scores(self._rule, feedback, shares, loss, weight, config.data.channels)
        else:
            return self._generator.apply(proposals, feedback, weights, steps, rate)
        self._generator.apply(proposals[:1], [merged], {"all": 1.0}, steps, rate)
        return weights

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no message: the segmentation table is made once, after the last round."""
        return ()

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing, as nothing was asked."""
        return None

    def _swapped(self, round_number: int) -> ParameterShapes | None:
        """Return what the clients' answers to a round bring beside feedback, if anything."""
        return self._discriminator if swaps(self._config.algorithm.swap_interval, round_number) else None

    def _read(self, round_number: int, replies: Iterable[Message]) -> tuple[dict[int, Answer], dict[str, str]]:
        """Split replies into those that can be used and, by client name, the reasons against the others."""
        accepted: dict[int, Answer] = {}
        rejected: dict[str, str] = {}
        for reply in replies:
            node_id, group = reply.metadata.src_node_id, reply.metadata.group_id
            sent_in = int(group) if group.isdecimal() else 0
            proposal = self._outbox.proposals.pop((sent_in, node_id), None)
            if proposal is None:
                rejected[f"node {node_id}"] = "a reply that nobody asked for"
                continue
            client, rounds_late = self._clients[node_id], round_number - sent_in
            if reply.has_error():
                rejected[client.name] = reply.error.reason or f"error {reply.error.code}"
            elif not discount(self._config.schedule, rounds_late):
                rejected[client.name] = f"more than {self._config.schedule.max_staleness} rounds old"
            else:
                try:
                    entries = self._server_discriminator.entries if self._server_discriminator else 0
                    swapped = self._swapped(sent_in)
                    shape = self._shape.holding(client.channels)
                    message = FeedbackMessage.from_records(reply.content, shape, swapped, entries)
                    accepted[node_id] = Answer(client, message, proposal, rounds_late)
                except ProtocolError as error:
                    rejected[client.name] = str(error)
            self._strikes[node_id] = 0 if node_id in accepted else self._strikes[node_id] + 1
        if is_synchronous(self._config.schedule):
            for key in [key for key in self._outbox.proposals if key[0] == round_number]:
                del self._outbox.proposals[key]
                rejected[self._clients[key[1]].name] = "no reply in time"
        return accepted, dict(sorted(rejected.items()))
