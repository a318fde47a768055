"""Who takes part in a training while it goes on: nodes come, go, and are started again."""

import logging
from collections.abc import Callable, Sequence, Set

from flower_dgan.algorithm.schedule import is_synchronous
from flower_dgan.config import Config
from flower_dgan.errors import DganError, FederationError
from flower_dgan.runtime.grid import FastGrid
from flower_dgan.server.ask import ask
from flower_dgan.server.join import JoinedClient, channels_of, check_agreement, joined
from flower_dgan.server.run_directory import label_map_cache
from flower_dgan.wire.join_messages import NodeDescription
from flower_dgan.wire.protocol import Training

logger = logging.getLogger("flwr")


class Membership:
    """The clients of a training by name, and how others come in.

    A node that has the name of a client whose node is gone, as one that was started again, takes its place. One with a
    new name can take part if rounds do not wait for all, and the generator is not told the site: its sites are those
    that the training began with.

    Parameters
    ----------
    grid : FastGrid
        The grid of the run.
    config : Config
        The run's configuration.
    training : Training
        Which training.
    clients : sequence of JoinedClient
        Those that it begins with.
    on_client : callable
        Called with each client, those of the beginning too.

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
        clients: Sequence[JoinedClient],
        on_client: Callable[[JoinedClient], None],
    ) -> None:
        self._grid = grid
        self._config = config
        self._training = training
        self._on_client = on_client
        self._first = clients[0].labels
        self._asked: set[int] = set()
        self.clients: dict[str, JoinedClient] = {}
        for client in clients:
            self._add(client)

    def admit(self, connected: Set[int]) -> Sequence[JoinedClient]:
        """Ask the nodes that came, and return those that take part; each of the others is named in the log.

        Parameters
        ----------
        connected : set of int
            Ids of all nodes that are connected.
        """
        self._asked &= connected  # one that was away is asked again
        new = connected - self._asked - {client.node_id for client in self.clients.values()}
        self._asked |= new
        if not new:
            return ()
        cache = label_map_cache()
        descriptions, problems = ask(self._grid.beside(), new, self._config, cache, self._training)
        found = []
        for node, description in descriptions.items():
            try:
                site = self._site(description, connected)
                client = joined(node, description, self._config, site, cache, self._first.foreign)
                self._add(client)
                found.append(client)
            except DganError as error:
                problems.append(f"node {node} ({description.name}): {error}")
        for problem in problems:
            logger.warning("Not taken into the training: %s", problem)
        return found

    def _add(self, client: JoinedClient) -> None:
        self.clients[client.name] = client
        self._on_client(client)

    def _site(self, description: NodeDescription, connected: Set[int]) -> int:
        """Return the site of a node for the generator; raises FederationError if it cannot take part."""
        check_agreement([description], self._config)
        if description.classes != self._first.classes:
            raise FederationError(f"it has {description.classes} classes, not {self._first.classes}")
        if (before := self.clients.get(description.name)) is not None:
            if before.node_id in connected:
                raise FederationError("there is a node of this name already")
            if channels_of(description, self._config) != before.channels:
                raise FederationError("it holds other channels than before")
            return before.labels.site
        if is_synchronous(self._config.schedule):
            raise FederationError("schedule=synchronous fixes the clients when the training begins")
        if setting := self._config.model.sites_fixed_by:
            raise FederationError(f"{setting} fixes the sites when the training begins")
        return len(self.clients)
