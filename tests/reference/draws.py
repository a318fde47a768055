"""What the loops are handed: what is drawn for whom, by the product's own draws."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from flower_dgan.data.augmentation import apply_to_images, apply_to_label_maps, draw_views
from flower_dgan.data.channels import Channels
from flower_dgan.data.foreground import on_foreground
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.views import Views, sizes_of
from flower_dgan.gan.bundle import ClientLabels, draw_bundle, draw_shared
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.randomness import derive_generator, derive_seed

from .settings import Settings


class Samples(NamedTuple):
    """Images (samples, channels, height, width) in [-1, 1] and their one-hot label maps."""

    images: Tensor
    label_maps: Tensor


@dataclass(frozen=True)
class Client:
    """A client: what the server knows of it, its images and their channels, D, its optimizer, secret, levels."""

    labels: ClientLabels
    images: tuple[Pixels, ...]
    channels: Channels
    network: nn.Module
    optimizer: torch.optim.Optimizer
    secret: int
    deviation: Tensor | float = 1.0


def own_inputs(client: Client, settings: Settings, round_number: int) -> GeneratorInput:
    """Return what a client's images of a round are made from: S batches of its label maps, one after the other."""
    return draw_bundle(client.labels, settings.drawn, round_number)[1]


def common_inputs(clients: Sequence[Client], settings: Settings, round_number: int, number: int) -> GeneratorInput:
    """Return what bundle ``number`` of a round is made from, which no client's own is."""
    return draw_shared([client.labels for client in clients], settings.drawn, round_number, number)


def reminding_inputs(labels: Sequence[ClientLabels], settings: Settings, step: int) -> GeneratorInput:
    """Return what the images of a step of TDGAN's reminding loss are made from: one batch of all earlier clients'."""
    seed = derive_seed(settings.seed, "reminding")
    return draw_shared(labels, replace(settings.drawn, exchanges=1, seed=seed), step, 0)


def circle(names: Sequence[str], settings: Settings, round_number: int) -> list[str]:
    """Return the clients in the order in which each gives its discriminator to the next, the last to the first."""
    order = torch.randperm(len(names), generator=derive_generator(settings.seed, "swap", round_number))
    return [names[index] for index in order.tolist()]


def upload_places(client: Client, settings: Settings, round_number: int, entries: int) -> list[int]:
    """Return all places of a discriminator's weights in the order in which a client draws those that it uploads."""
    generator = derive_generator(client.secret, "upload", round_number, client.labels.name)
    return [int(place) for place in torch.randperm(entries, generator=generator)]


def paired(client: Client, settings: Settings, round_number: int, batch: int) -> Samples:
    """Return the real pairs of the label maps of a synthetic batch: what losses compare with pixel by pixel."""
    views = draw_bundle(client.labels, settings.drawn, round_number)[0]
    size = settings.batch_size
    return seen(client, settings, views[batch * size : (batch + 1) * size])


def own(client: Client, settings: Settings, round_number: int, batch: int) -> Samples:
    """Return the real pairs that the client draws itself, from its secret."""
    generator = derive_generator(client.secret, "real", round_number, client.labels.name, batch)
    sizes = sizes_of(client.images)
    views = draw_views(sizes, settings.batch_size, settings.image_size, settings.augmentation, generator)
    label_maps, share = client.labels.label_maps, settings.drawn.foreground
    return seen(client, settings, on_foreground(views, label_maps, share, settings.image_size, generator))


real_batch = own
"""Which real pairs D is trained on, for (client, settings, round, batch of the round)."""


def seen(client: Client, settings: Settings, views: Views) -> Samples:
    """Return these views of a client's real pairs."""
    label_maps = apply_to_label_maps(client.labels.label_maps, client.labels.classes, views, settings.image_size)
    return Samples(apply_to_images(client.images, views, settings.image_size), label_maps)
