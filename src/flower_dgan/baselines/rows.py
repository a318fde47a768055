"""The rows of the TSTR table: real data pooled and alone; the generator untrained, trained on either, and the run's."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from torch import nn

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.choice_here import ChoiceHere
from flower_dgan.config import Config
from flower_dgan.data import Pairs, read_foreign_label_maps
from flower_dgan.data.channels import Channels, fill_channels, hide_channels
from flower_dgan.data.levels import levels_of
from flower_dgan.device import device_of, to_device
from flower_dgan.errors import DataError
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.server_state import PreviousTask, ServerState
from flower_dgan.gan.session import Session
from flower_dgan.gan.site_levels import InUnitsOf
from flower_dgan.networks.build import ImageShape
from flower_dgan.networks.whole import BlackElsewhere
from flower_dgan.node.node import Node, open_partition
from flower_dgan.placing import place, precision_of
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks.members import plus_rows, row_of, together
from flower_dgan.tasks.patient_scores import PLUS_DGAN, REAL
from flower_dgan.wiring import (
    bundle_settings,
    discriminator_half,
    free_cores,
    generator_half,
    seeded,
    server_state,
    session_of,
    threads,
)

logger = logging.getLogger("flwr")


@dataclass(frozen=True)
class LocalFederation:
    """The clients of a simulation, in this process.

    Attributes
    ----------
    shape : ImageShape
        What the networks see.
    labels : tuple of ClientLabels
        What a server knows of each client, in the order of their names.
    real : tuple of Pairs
        Their real pairs, in the same order; 0 in the channels that a client lacks.
    held_out : tuple of Pairs or None
        Their real pairs that are held out for validation, in the same order, None for a client without; empty where
        none are to be.
    """

    shape: ImageShape
    labels: tuple[ClientLabels, ...]
    real: tuple[Pairs, ...]
    held_out: tuple[Pairs | None, ...] = ()

    def sessions(self, config: Config, secrets: Mapping[str, int] | None = None) -> dict[str, Session]:
        """Return what each client has of a training that begins, by name: a fresh discriminator of its own.

        ``secrets`` are what the clients' draws and the starts of their discriminators follow from, by name; None for
        the run's seed, as in simulation.
        """
        found = {}
        for index, labels in enumerate(self.labels):
            secret = config.seed if secrets is None else secrets[labels.name]
            half = discriminator_half(config, self._shape_of(index), labels.name, secret)
            found[labels.name] = self._session(config, index, half, secret)
        return found

    def sharing(self, config: Config) -> dict[str, Session]:
        """Return the same with one discriminator for all; what a client lacks of the channels is black for it."""
        half = discriminator_half(config, replace(self.shape, levels=()), "centralized")
        halves = [_for_levels(_for_channels(half, each.channels, self.shape), each) for each in self.labels]
        return {
            each.name: self._session(config, index, halves[index], config.seed)
            for index, each in enumerate(self.labels)
        }

    def state(self, config: Config, workers: int = 1, previous: PreviousTask | None = None) -> ServerState:
        """Return what a server has of a training that begins."""
        return server_state(config, self.shape, {each.name: each for each in self.labels}, workers, previous)

    def _shape_of(self, index: int) -> ImageShape:
        channels = self.labels[index].channels
        own = self.labels[index].levels
        levels = () if own is None else (own,)
        return replace(self.shape, channels=self.shape.channels if channels is None else len(channels), levels=levels)

    def _session(self, config: Config, index: int, half: DiscriminatorHalf, secret: int) -> Session:
        labels = self.labels[index]
        return session_of(config, labels.name, hide_channels(self.real[index], labels.channels), half, secret)

    @property
    def members(self) -> dict[str, Pairs]:
        """The real pairs of each client, by its name."""
        return dict(zip(self.shape.sites, self.real, strict=True))

    def pooled(self) -> Pairs:
        """Return the real pairs of all clients together."""
        return together(*self.real)

    @property
    def validation(self) -> Pairs | None:
        """The pairs that are held out for validation, of all clients together; None where none are."""
        held_out = [pairs for pairs in self.held_out if pairs is not None]
        return together(*held_out) if held_out else None

    def alone(self, index: int) -> "LocalFederation":
        """Return the federation of one of the clients, whose networks are those for all sites."""
        return LocalFederation(self.shape, (self.labels[index],), (self.real[index],), self.held_out[index : index + 1])


def open_federation(config: Config, clients: int) -> LocalFederation:
    """Read the training pairs of every simulated client, as the person who simulates may.

    Raises
    ------
    DataError, FederationError
        If the data cannot be read or shared among so many clients; if no client has an image to hold out for validation
        where some are to be.
    """
    nodes = [open_partition(config, k, clients) for k in range(clients)]
    if config.selection.validation_fraction and not any(node.validation for node in nodes):
        raise DataError(
            f"selection.validation_fraction={config.selection.validation_fraction:g} holds nothing out, as the images "
            "of each client are of a single group (patient, scene): name the groups with data.name_pattern or "
            "data.table, or set it to 0."
        )
    return federation_of(config, nodes)


def federation_of(config: Config, clients: Iterable[Node]) -> LocalFederation:
    """Return the federation of clients that hold these pairs, in whatever order; at least one."""
    nodes = sorted(clients, key=lambda node: node.name)
    shape = ImageShape(
        nodes[0].pairs.classes, config.data.channels, config.data.image_size, tuple(node.name for node in nodes)
    )
    levels = [levels_of(node.pairs.images) if config.model.levels == "site" else None for node in nodes]
    shape = replace(shape, levels=tuple(each for each in levels if each is not None))
    foreign = read_foreign_label_maps(config.data)
    maps = foreign.maps if foreign else ()
    labels = tuple(
        ClientLabels(node.name, node.pairs.label_maps, node.pairs.classes, index, maps, node.channels, levels[index])
        for index, node in enumerate(nodes)
    )
    real = tuple(fill_channels(node.pairs, node.channels, shape.channels) for node in nodes)
    held_out = tuple(n.validation and fill_channels(n.validation, n.channels, shape.channels) for n in nodes)
    return LocalFederation(shape, labels, real, held_out if any(held_out) else ())


def draw_untrained(config: Config, federation: LocalFederation) -> Pairs:
    """Draw from the generator before it learned anything: what the label maps alone are worth."""
    network = generator_half(config, federation.shape).average
    return synthesize(network, federation.labels, bundle_settings(config), config.output.synthetic_images)[0]


def train_here(config: Config, federation: LocalFederation, row: str, previous: PreviousTask | None = None) -> Pairs:
    """Train the run's algorithm in this process with one discriminator for all data, and draw as many pairs from it.

    Which of its generators draws them is chosen as in the run, by what these clients hold out.

    Generator, batches, noise and sites are those of the run. The one discriminator sees the batches of all clients, one
    after the other. Where the clients' discriminators are copies of one at the server there is one anyway, and each
    client has the data of all.

    Parameters
    ----------
    config : Config
        The run's configuration.
    federation : LocalFederation
        All clients, or one.
    row : str
        Its name in the log.
    previous : PreviousTask or None
        What the run's generator began with.
    """
    algorithm = algorithm_of(config)
    state = federation.state(config, free_cores(), previous)
    if algorithm.releases.changes:
        pooled = federation.pooled()
        sessions = {name: replace(each, pairs=pooled) for name, each in federation.sessions(config).items()}
    else:
        sessions = federation.sharing(config)

    choice = ChoiceHere(config, federation.labels, federation.validation, config.exchange.rounds)

    def after_round(round_number: int) -> None:
        choice.keep(round_number, state.generator.average)
        if round_number % config.output.sample_interval == 0:
            logger.info("%s: round %d/%d", row, round_number, config.exchange.rounds)

    with threads(config.threads), seeded(config.seed, "centralized"):
        train(algorithm, state, sessions, in_flight=config.exchange.in_flight, after_round=after_round)
        generator = choice.take(state.generator.average)
    total = config.output.synthetic_images
    return synthesize(generator, federation.labels, bundle_settings(config), total)[0]


def _for_levels(half: DiscriminatorHalf, labels: ClientLabels) -> DiscriminatorHalf:
    """Return a discriminator that sees images in units of a client's levels; they share parameters and optimizer."""
    if labels.levels is None:
        return half
    units = to_device(labels.levels.deviations[:, None, None], device_of(half.network))
    return replace(half, network=_as(InUnitsOf(half.network, labels.levels), half.network), units=units)


def _for_channels(half: DiscriminatorHalf, channels: Channels, shape: ImageShape) -> DiscriminatorHalf:
    """Return a discriminator of whole images for a client with these channels; they share parameters and optimizer."""
    if channels is None:
        return half
    return replace(half, network=_as(BlackElsewhere(half.network, channels, shape.channels), half.network))


def _as(network: nn.Module, other: nn.Module) -> nn.Module:
    """Return a network that computes where another does, and as that does."""
    return place(network, device_of(other), precision_of(other))


def table_rows(
    config: Config, federation: LocalFederation, synthetic: Pairs, previous: PreviousTask | None = None
) -> dict[str, Pairs]:
    """Return the training pairs of every row that ``downstream.rows`` asks for, in the table's order."""
    wanted = config.downstream.rows
    rows: dict[str, Pairs] = {}
    if "Real-All" in wanted:
        rows["Real-All"] = federation.pooled()
    if "Real-k" in wanted:
        rows |= {row_of(REAL, name): pairs for name, pairs in federation.members.items()}
    if PLUS_DGAN in wanted:
        rows |= plus_rows(PLUS_DGAN, federation.members, synthetic)
    if "Untrained" in wanted:
        rows["Untrained"] = draw_untrained(config, federation)
    if "Local-k" in wanted:
        for index, name in enumerate(federation.shape.sites):
            row = f"Local-{name}"
            drawn = train_here(config, federation.alone(index), row, previous)
            channels = federation.labels[index].channels
            # what nobody taught the generator is black, as in the client's real images
            rows[row] = fill_channels(hide_channels(drawn, channels), channels, federation.shape.channels)
    if "Syn-All" in wanted:
        rows["Syn-All"] = train_here(config, federation, "Syn-All", previous)
    if "DGAN" in wanted:
        rows["DGAN"] = synthetic
    return rows
