"""What the server draws for one round: samples, views, noise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flower_dgan.config import AugmentationName
from flower_dgan.data.augmentation import apply_to_label_maps, draw_views
from flower_dgan.data.channels import Channels
from flower_dgan.data.foreground import on_foreground
from flower_dgan.data.levels import Levels
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.views import Views, join_views, sizes_of
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.shares import bound_shares
from flower_dgan.randomness import derive_generator

_PART = 64


@dataclass(frozen=True)
class BundleSettings:
    """How bundles are drawn.

    Attributes
    ----------
    exchanges : int
        Batches of a bundle (S).
    batch_size : int
        Samples of a batch (B).
    image_size : int
        Height and width of a view.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        What a view may do besides choosing a window.
    noise_channels : int
        Length of the noise vector of a sample.
    seed : int
        Seed of the run.
    foreground : float
        Share of the windows that are placed on the foreground.
    largest_share : float
        Largest share of one client's label maps, where there are three clients or more, in what is drawn from those of
        all; 1 for no bound.
    published_noise : float
        Standard deviation of the noise vectors of published images, see :func:`flower_dgan.synthesis.draw_for`; those
        of bundles have 1.
    """

    exchanges: int
    batch_size: int
    image_size: int
    augmentation: AugmentationName
    noise_channels: int
    seed: int
    largest_share: float = 1.0
    foreground: float = 0.0
    published_noise: float = 1.0


@dataclass(frozen=True)
class ClientLabels:
    """What the server knows of one client's data.

    Attributes
    ----------
    name : str
        The client's name; its draws depend on it.
    label_maps : tuple of uint8 arrays (height, width)
        All label maps of the client; where these stay with it, zeros of their sizes.
    classes : int
        Number of classes.
    site : int
        Index of the client's site for the generator.
    foreign : tuple of uint8 arrays (height, width)
        Label maps that are nobody's, from which synthetic images are made instead: the same for all clients. Empty
        where they are made from the clients' own.
    channels : tuple of int or None
        Which channels of the images the client holds; None for all.
    levels : Levels or None
        Mean and deviation of its images; None where the training does not ask for them.
    publish : bool
        Whether pieces of its own label maps may be in the published set.
    """

    name: str
    label_maps: tuple[Pixels, ...]
    classes: int
    site: int
    foreign: tuple[Pixels, ...] = ()
    channels: Channels = None
    levels: Levels | None = None
    publish: bool = True

    @property
    def images(self) -> int:
        """Its number of pairs, n_k."""
        return len(self.label_maps)


def draw_bundle(client: ClientLabels, settings: BundleSettings, round_number: int) -> tuple[Views, GeneratorInput]:
    """Draw the samples of one client for one round.

    Returns
    -------
    views : Views
        Which window of which label map, (exchanges * batch_size,), batch after batch: of the client's own, or of
        foreign ones where there are any.
    inputs : GeneratorInput
        These views, noise and the site, for as many samples.
    """
    generator = derive_generator(settings.seed, "bundle", round_number, client.name)
    label_maps = client.foreign or client.label_maps
    views = _draw_views(label_maps, settings, generator)
    sites = torch.full((len(views.ids),), client.site)
    return views, _draw_inputs(label_maps, client.classes, views, sites, settings, generator)


def draw_in_parts(
    client: ClientLabels, settings: BundleSettings, sites: Tensor | None = None
) -> Iterator[GeneratorInput]:
    """Yield the inputs of :func:`draw_bundle` in round 0, 64 samples at a time: one-hot they are large.

    Parameters
    ----------
    client : ClientLabels
        Whose label maps are drawn from.
    settings : BundleSettings
        What is drawn; views and noise are those of one bundle.
    sites : int64 Tensor (exchanges * batch_size,) or None
        The site of each sample; None for the client's.
    """
    generator = derive_generator(settings.seed, "bundle", 0, client.name)
    label_maps = client.foreign or client.label_maps
    views = _draw_views(label_maps, settings, generator)
    sites = torch.full((len(views.ids),), client.site) if sites is None else sites
    noise, texture = _draw_noise(len(views.ids), settings, generator)
    for start in range(0, len(views.ids), _PART):
        part = slice(start, start + _PART)
        yield GeneratorInput(
            label_maps=apply_to_label_maps(label_maps, client.classes, views[part], settings.image_size),
            noise=noise[part],
            texture=texture[part],
            sites=sites[part],
        )


def views_in_parts(client: ClientLabels, settings: BundleSettings) -> Views:
    """Return the views that :func:`draw_in_parts` draws, of all samples: who draws them knows what else lies there."""
    generator = derive_generator(settings.seed, "bundle", 0, client.name)
    return _draw_views(client.foreign or client.label_maps, settings, generator)


def draw_shared(
    clients: Sequence[ClientLabels], settings: BundleSettings, round_number: int, number: int
) -> GeneratorInput:
    """Draw the samples of one bundle that is no client's own, from the label maps of all.

    Parameters
    ----------
    clients : sequence of ClientLabels
        Each of their label maps, with its client's site, is drawn as often as any other; of a client that has more than
        the largest share as many as that allows, others in each round. With a foreign label map comes
        the site of any of their images.
    settings : BundleSettings
        What is drawn.
    round_number : int
        Round of the bundle.
    number : int
        Which bundle of the round, from 0.
    """
    generator = derive_generator(settings.seed, "shared", round_number, number)
    foreign = clients[0].foreign
    pool = _bound_label_maps(clients, settings, derive_generator(settings.seed, "share", round_number, number))
    label_maps = foreign or tuple(label_map for maps in pool for label_map in maps)
    views = _draw_views(label_maps, settings, generator)
    sites = torch.tensor([client.site for client, maps in zip(clients, pool, strict=True) for _ in maps])
    ids = torch.randint(len(sites), views.ids.shape, generator=generator) if foreign else torch.from_numpy(views.ids)
    return _draw_inputs(label_maps, clients[0].classes, views, sites[ids], settings, generator)


def draw_classes(seen: Sequence[int], classes: int, settings: BundleSettings, step: int) -> GeneratorInput:
    """Draw the inputs of images of some classes, as many of each as a batch has, class after class.

    Parameters
    ----------
    seen : sequence of int
        Which classes.
    classes : int
        How many there are.
    settings : BundleSettings
        Batch size, image size, noise and seed.
    step : int
        Of the generator; each draws other noise.
    """
    generator, side = derive_generator(settings.seed, "classes", step), settings.image_size
    ids = torch.tensor(seen).repeat_interleave(settings.batch_size)
    one_hot = torch.nn.functional.one_hot(ids, classes).float()[:, :, None, None].expand(-1, -1, side, side)
    noise, texture = _draw_noise(len(ids), settings, generator)
    return GeneratorInput(one_hot, noise, texture, torch.zeros(len(ids), dtype=torch.int64))


def bound_counts(counts: Sequence[int], largest: float) -> list[int]:
    """Return how many label maps of each client are drawn from, so that none has more than the largest share of all."""
    total = sum(counts)
    shares = {str(index): count / total for index, count in enumerate(counts)}
    bounded = bound_shares(shares, largest, len(counts))
    if bounded == shares:
        return list(counts)
    whole = min(count / share for count, share in zip(counts, bounded.values(), strict=True))
    return [min(count, max(1, round(share * whole))) for count, share in zip(counts, bounded.values(), strict=True)]


def _bound_label_maps(
    clients: Sequence[ClientLabels], settings: BundleSettings, generator: torch.Generator
) -> list[Sequence[Pixels]]:
    """Return the label maps of each client that are drawn from: all, or some at random where these are too many."""
    counts = bound_counts([len(client.label_maps) for client in clients], settings.largest_share)
    return [
        client.label_maps
        if count == len(client.label_maps)
        else [
            client.label_maps[i] for i in torch.randperm(len(client.label_maps), generator=generator)[:count].tolist()
        ]
        for client, count in zip(clients, counts, strict=True)
    ]


def _draw_views(label_maps: tuple[Pixels, ...], settings: BundleSettings, generator: torch.Generator) -> Views:
    sizes = sizes_of(label_maps)
    batches = [
        draw_views(sizes, settings.batch_size, settings.image_size, settings.augmentation, generator)
        for _ in range(settings.exchanges)
    ]
    return on_foreground(join_views(batches), label_maps, settings.foreground, settings.image_size, generator)


def _draw_inputs(
    label_maps: tuple[Pixels, ...],
    classes: int,
    views: Views,
    sites: Tensor,
    settings: BundleSettings,
    generator: torch.Generator,
) -> GeneratorInput:
    noise, texture = _draw_noise(len(views.ids), settings, generator)
    return GeneratorInput(
        label_maps=apply_to_label_maps(label_maps, classes, views, settings.image_size),
        noise=noise,
        texture=texture,
        sites=sites,
    )


def _draw_noise(samples: int, settings: BundleSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    noise = torch.randn(samples, settings.noise_channels, generator=generator)
    return noise, torch.randn(samples, 1, settings.image_size, settings.image_size, generator=generator)
