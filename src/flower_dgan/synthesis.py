"""Synthetic pairs: draw them, write them, show them beside real ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from flower_dgan.config import ModelConfig
from flower_dgan.data import Pairs, Pixels, read_label_maps, write_label_maps
from flower_dgan.data.array_files import to_picture, write_image
from flower_dgan.data.coco_annotations import write_coco
from flower_dgan.data.colours import paint
from flower_dgan.data.layout_files import objects_beside
from flower_dgan.data.object_files import FILE
from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.errors import ConfigError, DataError, unknown_name
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, bound_counts, draw_in_parts, views_in_parts
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.generator import draw
from flower_dgan.memory import machine_memory
from flower_dgan.names import file_stems
from flower_dgan.networks.build import ImageShape
from flower_dgan.randomness import derive_generator
from flower_dgan.whole_file import settle, whole_file
from flower_dgan.wire.formats import encode_images


def shares(image_counts: Sequence[int], total: int) -> tuple[int, ...]:
    """Split ``total`` in proportion to ``image_counts``; what rounding leaves goes to the first clients."""
    counts = [total * count // sum(image_counts) for count in image_counts]
    for index in range(total - sum(counts)):
        counts[index % len(counts)] += 1
    return tuple(counts)


def synthesize(
    network: nn.Module, clients: Sequence[ClientLabels], settings: BundleSettings, total: int
) -> tuple[Pairs, tuple[str, ...]]:
    """Draw a synthetic dataset on the clients' label maps.

    Parameters
    ----------
    network : nn.Module
        The generator.
    clients : sequence of ClientLabels
        Whose label maps to use, or which foreign ones; each client's share of the images is its share of the clients'
        label maps, at most the largest share of the settings. Sites have the same shares but are dealt out at random,
        so that every label map may be drawn in the style of every site.
    settings : BundleSettings
        Views and seed; exchanges and batch size do not matter.
    total : int
        Number of pairs.

    Returns
    -------
    pairs : Pairs
        uint8 images and label maps of ``settings.image_size``.
    names : tuple of str
        ``<client>_<number>`` of each pair, the client by its :func:`~flower_dgan.names.file_stems`. No two are equal,
        also where a client takes part in two tasks.
    """
    images: list[Pixels] = []
    label_maps: list[Pixels] = []
    sources: list[str] = []
    counts = shares(bound_counts([len(c.label_maps) for c in clients], settings.largest_share), total)
    sites = torch.cat([torch.full((count,), c.site) for c, count in zip(clients, counts, strict=True)])
    sites = sites[torch.randperm(total, generator=derive_generator(settings.seed, "sites"))]
    for client, count, dealt in zip(clients, counts, torch.split(sites, list(counts)), strict=True):
        if not count:
            continue
        drawn = draw_for(network, client, settings, count, dealt)
        images += drawn.images
        label_maps += drawn.label_maps
        sources += [client.name] * count
    return Pairs(tuple(images), tuple(label_maps), clients[0].classes), _numbered(sources)


def draw_for(
    network: nn.Module, client: ClientLabels, settings: BundleSettings, count: int, sites: Tensor | None = None
) -> Pairs:
    """Draw so many pairs on one client's label maps, in windows that lie anywhere, as those of real images do.

    Parameters
    ----------
    network, client, settings
        As for :func:`synthesize`.
    count : int
        At least 1.
    sites : int64 Tensor (count,) or None
        In whose style each image is drawn; None for the client's own.

    Notes
    -----
    Noise vectors are ``settings.published_noise`` times as long as in training: the truncation trick (Brock 2019,
    "Large scale GAN training ...", section 3.1) the other way. There draws closer to the mean look better; here a
    generator has fewer styles than a site has, and what is trained on its images meets others.
    """
    images: list[Pixels] = []
    label_maps: list[Pixels] = []
    for part in draw_in_parts(client, _at_once(settings, count), sites):
        published = replace(part, noise=settings.published_noise * part.noise)
        images += tuple(to_pixels(draw(network, published)))
        label_maps += tuple(part.label_maps.argmax(1).to(torch.uint8).numpy())
    return Pairs(tuple(images), tuple(label_maps), client.classes)


def _at_once(settings: BundleSettings, count: int) -> BundleSettings:
    """Return the settings of one batch of so many samples, in windows that lie anywhere."""
    return replace(settings, exchanges=1, batch_size=count, foreground=0.0)


def synthesize_folder(
    trained: tuple[nn.Module, ModelConfig, ImageShape], folder: Path, *, count: int, site: str | None, seed: int
) -> tuple[Pairs, tuple[str, ...]]:
    """Draw pairs on the label maps of a folder, and let them have the objects that are kept beside it, if any are.

    Parameters
    ----------
    trained : tuple
        Network, settings and shape, from ``load_generator``.
    folder : Path
        Label maps as image files, 0/255 or class ids; not read if the generator was trained with
        ``data.condition=none``.
    count : int
        Number of pairs.
    site : str or None
        The site to draw for; None deals out all sites at random.
    seed : int
        Seed of views and noise.

    Raises
    ------
    DataError, ConfigError
        If the folder or the site cannot be used, or the machine has not the memory for so many images of this size.
    """
    network, model, shape = trained
    side = shape.image_size
    needed = count * side**2 * (4 + 1 + shape.channels)  # float32 texture, uint8 label maps and images
    if needed > machine_memory():
        raise ConfigError(
            f"{count:,} images of {side:,} x {side:,} pixels, as the generator makes them, take more than "
            f"{needed / 2**30:,.1f} GiB, and this machine has {machine_memory() / 2**30:,.1f}: draw fewer at a time, "
            "with another --seed each."
        )
    if not shape.sites:
        raise DataError("The generator says of no site that it draws for: its file is not one of a training.")
    if site is not None and site not in shape.sites:
        raise ConfigError(unknown_name("site", site, shape.sites))
    objects: Sequence[ObjectMasks] = ()
    if shape.classes == 1:
        label_maps: tuple[Pixels, ...] = (np.zeros((shape.image_size, shape.image_size), np.uint8),)
    else:
        found = read_label_maps(folder, shape.image_size, decided=True)
        if found.classes > shape.classes:
            raise DataError(
                f"{folder} has {found.classes} classes, more than the {shape.classes} that the generator knows."
            )
        label_maps = found.maps
        objects = objects_beside(found, shape.classes)
    settings = BundleSettings(
        1, count, shape.image_size, "none", model.noise_channels, seed, published_noise=model.published_noise
    )
    chosen = (
        torch.randint(len(shape.sites), (count,), generator=derive_generator(seed, "sites"))
        if site is None
        else torch.full((count,), shape.sites.index(site))
    )
    client = ClientLabels(site or "any", label_maps, shape.classes, 0)
    pairs = draw_for(network, client, settings, count, chosen)
    if objects:
        views = views_in_parts(client, _at_once(settings, count))
        places = zip(views.ids.tolist(), views.windows[:, :2].tolist(), strict=True)
        cut = tuple(objects[index].window(top, left, side, side) for index, (top, left) in places)
        pairs = replace(pairs, objects=cut)
    stems = file_stems(shape.sites)
    names = tuple(f"{stems[shape.sites[index]]}_{number:05d}" for number, index in enumerate(chosen.tolist()))
    return pairs, names


def _numbered(sources: Sequence[str]) -> tuple[str, ...]:
    """Return a file stem for each source, with its number among those of the same source."""
    stems, seen = file_stems(sources), Counter[str]()
    names = []
    for source in sources:
        names.append(f"{stems[source]}_{seen[source]:05d}")
        seen[source] += 1
    return tuple(names)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Return images in [-1, 1] (batch, channels, height, width) as uint8 (batch, height, width, channels)."""
    return encode_images(images, "uint8").transpose(0, 2, 3, 1).astype(np.uint8)


def write_pairs(directory: Path, pairs: Pairs, names: Sequence[str]) -> None:
    """Write ``images/`` and ``masks/`` with equal stems; masks are 0/255 for two classes, else class ids.

    Objects, where they are known, are in ``instances.json``.

    All are PNG but images that are neither grey nor RGB, which are ``.npy``.

    Label maps of one class say nothing and are not written: nobody is to take them for masks. Raises StorageError if
    one cannot be written.
    """
    for name, image in zip(names, pairs.images, strict=True):
        write_image(image, directory / "images", name)
    settle(directory / "images")
    if pairs.classes > 1:
        write_label_maps(directory / "masks", pairs.label_maps, pairs.classes, names)
    if pairs.objects is not None:
        write_coco(directory / FILE, {f"{name}.png": each for name, each in zip(names, pairs.objects, strict=True)})


def drawn_label_maps(pairs: Pairs) -> tuple[Pixels, ...]:
    """Return the label maps that images of ``data.target=label-maps`` show: foreground where brighter than half."""
    return tuple((image[..., 0] > 127).astype(np.uint8) for image in pairs.images)


def sample_grid(
    network: nn.Module,
    draws: Sequence[GeneratorInput],
    real: NDArray[np.uint8] | None,
    path: Path,
    colours: Sequence[str] = (),
) -> tuple[tuple[Tensor, ...], list[list[Pixels]]]:
    """Write a PNG with a row a sample: label map | synthetic, one for each draw | real.

    Of images that are neither grey nor RGB the channels stand side by side, in grey.

    Parameters
    ----------
    network : nn.Module
        The generator.
    draws : sequence of GeneratorInput
        The same samples with different noise.
    real : uint8 array (samples, height, width, channels) or None
        Real images of the same label maps; None where they must not be shown.
    path : Path
        The file.
    colours : sequence of str
        The colours of the classes, ``#rrggbb``; none for grey levels.

    Returns
    -------
    tuple of Tensor, float, (samples, channels, height, width)
        The images of each draw, in [-1, 1].
    list of list of uint8 array, (height, width) or (height, width, 3)
        The pictures of the grid, row by row.
    """
    ids = draws[0].label_maps.argmax(1).to(torch.uint8).numpy()
    classes = draws[0].label_maps.shape[1]
    shown = paint(ids, class_colours(classes, colours))
    if len(colours) != classes:
        shown = shown[..., :1]  # in grey
    drawn = tuple(draw(network, inputs) for inputs in draws)
    columns = [*map(to_pixels, drawn), *([] if real is None else [real])]
    rows = [[to_picture(column[row]) for column in [shown, *columns]] for row in range(len(ids))]
    if any(cell.ndim == 3 for cell in rows[0]):
        rows = [[_as_rgb(cell) for cell in row] for row in rows]
    picture = Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in rows]))
    picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST)
    with whole_file(path, durable=False) as partial:
        picture.save(partial, format="PNG")
    return drawn, rows


def class_colours(classes: int, colours: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the colours (``#rrggbb``) in which classes are shown: those that are given, if each has one, or greys."""
    if len(colours) == classes:
        return tuple(colours)
    step = 255 // max(1, classes - 1)
    return tuple("#" + 3 * f"{step * each:02x}" for each in range(classes))


def _as_rgb(picture: Pixels) -> Pixels:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
