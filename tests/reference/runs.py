"""One configuration trained twice: by the product, through Flower's messages in this process, and by its loop."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from flwr.app import Context, Message
from platformdirs import user_state_path
from safetensors.torch import load_file
from torch import Tensor, nn

from flower_dgan.baselines.rows import LocalFederation, open_federation
from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.data.channels import hide_channels
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wiring import discriminator_half, generator_half

from . import asyndgan, mdgan, scores, selective
from .client import Distance
from .draws import Client
from .generator import Generator
from .levels import Standardised, levels_of
from .settings import Settings, settings_of

TOLERANCE = 1e-5
"""Largest difference, relative to the largest number of a tensor."""

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Trained:
    """Parameters after a training.

    Attributes
    ----------
    generator, average : mapping of str to Tensor
        G and its moving average.
    discriminators : dict of str to mapping
        D_k by the client's name; ``server`` is the server's own, where it has one.
    """

    generator: State
    average: State
    discriminators: dict[str, State] = field(default_factory=dict)

    def difference(self, other: "Trained") -> float:
        """Return the largest difference of a tensor, relative to the largest number of the other's."""
        assert set(self.discriminators) == set(other.discriminators)
        pairs = [(self.generator, other.generator), (self.average, other.average)]
        pairs += [(state, other.discriminators[name]) for name, state in self.discriminators.items()]
        return max(largest_relative_difference(*pair) for pair in pairs)


def largest_relative_difference(ours: State, theirs: State) -> float:
    """Return max over tensors of max |a - b| / max |b|."""
    assert set(ours) == set(theirs)
    tiny = torch.finfo(torch.float32).tiny
    return max(
        float((ours[name] - value).abs().max() / value.abs().max().clamp_min(tiny)) for name, value in theirs.items()
    )


def train_product(overrides: str, clients: int, directory: Path) -> Trained:
    """Run the job through the real strategy and ClientApp; nobody may have been bounded by the guard."""
    kept: dict[str, State] = {}

    def look_before_they_leave(message: Message, context: Context) -> Message:
        if message.metadata.message_type == "query.leave":
            kept.update(_kept_discriminators())
        return app(message, context)

    overrides = f"{overrides} output.directory='{directory}'"
    run_job(InProcessGrid(look_before_they_leave, simulated_contexts(clients, overrides)), resolve(overrides), 0)
    rounds = read_metrics(directory).rounds
    assert sum(each.bounded_together + sum(c.bounded for c in each.clients.values()) for each in rounds) == 0
    tensors = load_file(max((directory / "checkpoints").glob("*.safetensors")))
    server = _of(tensors, "kept:server")
    return Trained(_of(tensors, "network"), _of(tensors, "average"), kept | ({"server": server} if server else {}))


def _kept_discriminators() -> dict[str, State]:
    """Return each node's discriminator after its last answer, by the client's name, from what nodes keep."""
    nodes = user_state_path("flower-dgan") / "clients"
    found = {}
    for about in nodes.glob("*/*/node.json"):
        last = max(about.parent.glob("round-*.safetensors"))
        found[json.loads(about.read_text())["name"]] = _of(load_file(last), "network")
    return found


def _of(tensors: State, kind: str) -> State:
    """Return the tensors whose names begin with a kind and a colon."""
    return {name.removeprefix(f"{kind}:"): value for name, value in tensors.items() if name.startswith(f"{kind}:")}


def train_reference(
    config: Config,
    clients: int,
    *,
    distance: Distance | None = None,
    before: tuple[nn.Module, Sequence[ClientLabels]] | None = None,
    secrets: Mapping[str, int] | None = None,
) -> Trained:
    """Run the loop of a configuration's algorithm on the data of simulated clients.

    Parameters
    ----------
    config : Config
        The configuration.
    clients : int
        How many.
    distance : callable or None
        Perceptual distance, for settings that have one.
    before : tuple or None
        TDGAN: the generator of the task before, and the clients of all earlier tasks.
    secrets : mapping of str to int or None
        What each client's own draws follow from, by name; None for the run's seed, as in simulation.
    """
    federation, settings = open_federation(config, clients), settings_of(config)
    taking_part = reference_clients(config, federation, settings, secrets or {})
    generator = reference_generator(config, federation, settings)
    found = {}
    if settings.upload != "none":
        server = discriminator_half(config, replace(federation.shape, sites=()), "server").network
        selective.train(generator, server, taking_part, settings)
        found["server"] = server.state_dict()
    elif settings.merge in ("average", "odds", "odds-by-class", "softmax"):
        scores.train(generator, taking_part, settings)
    elif settings.shared_batches:
        mdgan.train(generator, taking_part, settings)
    else:
        remind = None
        if before is not None:
            generator.network.load_state_dict(before[0].state_dict())
            generator.average.load_state_dict(before[0].state_dict())
            remind = asyndgan.reminding_loss(*before, settings, distance)
        asyndgan.train(generator, taking_part, settings, remind=remind, distance=distance)
    found |= {client.labels.name: client.network.state_dict() for client in taking_part}
    return Trained(generator.network.state_dict(), generator.average.state_dict(), found)


def reference_clients(
    config: Config, federation: LocalFederation, settings: Settings, secrets: Mapping[str, int]
) -> list[Client]:
    """Return the clients with the discriminators that the product begins with."""
    found = []
    for labels, pairs in zip(federation.labels, federation.real, strict=True):
        images = hide_channels(pairs, labels.channels).images
        shape = replace(federation.shape, channels=images[0].shape[2])
        secret = secrets.get(labels.name, settings.seed)
        network = discriminator_half(config, replace(shape, levels=()), labels.name, secret).network
        mean, deviation = levels_of(images) if settings.levels else (0.0, 1.0)
        if settings.levels:
            network = Standardised(network, mean, deviation)
        optimizer = torch.optim.Adam(network.parameters(), settings.discriminator_learning_rate, settings.betas)
        found.append(Client(labels, images, labels.channels, network, optimizer, secret, deviation))
    return found


def reference_generator(config: Config, federation: LocalFederation, settings: Settings) -> Generator:
    """Return the generator that the product begins with."""
    network = generator_half(config, federation.shape).network
    optimizer = torch.optim.Adam(network.parameters(), settings.generator_learning_rate, settings.betas)
    return Generator(network, optimizer, deepcopy(network))
