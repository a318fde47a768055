"""Who takes part in a training while it goes on: nodes come, go, and are started again."""

import logging
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from flwr.app import Message

from flower_dgan.config import Config
from flower_dgan.errors import DganError, FederationError
from flower_dgan.federation.ask import ask
from flower_dgan.federation.claims import Claims
from flower_dgan.federation.join import JoinedClient, channels_of, check_agreement, joined
from flower_dgan.federation.run_directory import label_map_cache
from flower_dgan.flower.grid import FastGrid
from flower_dgan.run.member_records import CAME, CAME_BACK, MOVED, REFUSED
from flower_dgan.wire.join_messages import LEAVE, NodeDescription
from flower_dgan.wire.protocol import Training

logger = logging.getLogger("flwr")

_PATIENCE = 2.0
_ASK_AGAIN = 60.0

Answered = tuple[int, NodeDescription | None, Sequence[str]]
"""A node, what it says of itself, and what was wrong."""


class Membership:
    """The clients of a training by name, and how others come in.

    A node that proves to be a client's, as one that was started again, takes its place. One with a new name can take
    part if rounds do not wait for all, and the generator is not told the site: its sites are those that the training
    began with.

    Nodes that came are asked in threads of their own: one that stays silent delays the training by two seconds, once.
    One that was refused, or is silent, is asked again after a minute.

    Parameters
    ----------
    grid : FastGrid
        The grid of the run.
    config : Config
        The run's configuration.
    training : Training
        Which training.
    claims : Claims
        Whose the clients' names are.
    clients : sequence of JoinedClient
        Those that it begins with.
    on_client : callable
        Called with each client, those of the beginning too.
    on_change : callable
        Called with a client's name or a node's id, a sentence and its kind for each change of membership.

    Attributes
    ----------
    clients : dict of str to JoinedClient
        All that take part or did, by name.
    """

    def __init__(
        self,
        grid: FastGrid,
        config: Config,
        training: Training,
        claims: Claims,
        clients: Sequence[JoinedClient],
        on_client: Callable[[JoinedClient], None],
        on_change: Callable[[str, str, str], None],
    ) -> None:
        self._grid = grid
        self._config = config
        self._training = training
        self._claims = claims
        self._on_client = on_client
        self._on_change = on_change
        self._first = clients[0].labels
        self._answers: SimpleQueue[Answered] = SimpleQueue()
        self._asking: set[int] = set()
        self._asked: dict[int, float] = {}
        self._replaced: set[int] = set()
        self._told: dict[int, str] = {}
        self.clients: dict[str, JoinedClient] = {}
        for client in clients:
            self._add(client)

    def admit(self, connected: Set[int], silent: Set[int] = frozenset()) -> Sequence[JoinedClient]:
        """Ask the nodes that came, and return those that take part; each of the others is named in the log.

        Parameters
        ----------
        connected : set of int
            Ids of all nodes that are connected.
        silent : set of int
            Ids of clients that are left out and may take part again; one that answers now is among those returned.
        """
        now = time.monotonic()
        self._asked = {node: when for node, when in self._asked.items() if node in connected}  # it may come again
        members = {client.node_id for client in self.clients.values()} - silent
        due = {node for node in connected if now - self._asked.get(node, -_ASK_AGAIN) >= _ASK_AGAIN}
        new = due - members - self._asking - self._replaced
        first_time = new - self._asked.keys()
        for node in new:
            self._asked[node] = now
            self._asking.add(node)
            Thread(target=self._ask, args=(node,), daemon=True, name=f"ask-{node}").start()
        return self._taken_in(until=now + _PATIENCE, wait_for=first_time)

    def _ask(self, node: int) -> None:
        try:
            found = ask(self._grid.beside(), [node], self._config, label_map_cache(), self._training)
            undecided = [f"node {each}: {why}" for each, why in found.undecided.items()]
            self._answers.put((node, found.descriptions.get(node), [*found.problems, *undecided]))
        except Exception as error:  # the training goes on, whatever a newcomer did
            self._answers.put((node, None, [f"node {node}: {error}"]))

    def _taken_in(self, until: float, wait_for: Set[int]) -> list[JoinedClient]:
        """Take in who answered; those who were asked for the first time just now are waited for a little."""
        found = []
        while self._asking:
            waits = bool(wait_for & self._asking)
            try:
                node, description, problems = self._answers.get(waits, max(until - time.monotonic(), 0.0))
            except Empty:
                break
            self._asking.discard(node)
            if description is not None:
                try:
                    found.append(self._take_in(node, description))
                except DganError as error:
                    problems = [f"node {node} ({description.name}): {error}"]
                    if description.name not in self.clients:  # whose node may be back with a mistake in its settings
                        Thread(target=self._let_go, args=(node,), daemon=True).start()
            self._tell(node, "; ".join(problems))
        return found

    def _take_in(self, node: int, description: NodeDescription) -> JoinedClient:
        site = self._site(node, description)
        client = joined(node, description, self._config, site, label_map_cache(), self._first.foreign)
        before = self.clients.get(client.name)
        if before is None:
            self._on_change(client.name, "came", CAME)
        elif before.node_id == node:
            self._on_change(client.name, "answers again", CAME_BACK)
        else:
            self._replaced.add(before.node_id)
            self._on_change(client.name, f"is node {node} now, and was node {before.node_id}", MOVED)
        self._add(client)
        return client

    def _let_go(self, node: int) -> None:
        """Let a newcomer that does not take part forget what it kept; whether it answers does not matter."""
        message = Message(self._training.to_records("leave"), dst_node_id=node, message_type=LEAVE)
        with suppress(Exception):
            self._grid.beside().send_and_receive([message], timeout=self._config.exchange.join_timeout)

    def _tell(self, node: int, problem: str) -> None:
        """Say once why a node does not take part; of a client that was left out that is known."""
        known = any(client.node_id == node for client in self.clients.values())
        if problem and not known and self._told.get(node) != problem:
            logger.warning("Not taken into the training: %s", problem)
            self._on_change(f"node {node}", f"was not taken in: {problem}", REFUSED)
        self._told[node] = problem

    def _add(self, client: JoinedClient) -> None:
        self.clients[client.name] = client
        self._on_client(client)

    def _site(self, node: int, description: NodeDescription) -> int:
        """Return the site of a node for the generator; raises FederationError if it cannot take part."""
        check_agreement([description], self._config)
        if description.classes != self._first.classes:
            raise FederationError(f"it has {description.classes} classes, not {self._first.classes}")
        if (before := self.clients.get(description.name)) is not None:
            if channels_of(description, self._config) != before.channels:
                raise FederationError("it holds other channels than before")
            self._claims.take(node, description)
            return before.labels.site
        if self._config.schedule.is_synchronous:
            raise FederationError("schedule=synchronous fixes the clients when the training begins")
        if setting := self._config.model.sites_fixed_by:
            raise FederationError(f"{setting} fixes the sites when the training begins")
        self._claims.take(node, description)
        return len(self.clients)
