"""The sample grids of a run: the same label maps and noise at every interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from flower_dgan.baselines.rows import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data import apply_to_images
from flower_dgan.federation.join import JoinedClient
from flower_dgan.gan.bundle import draw_bundle
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.randomness import derive_generator
from flower_dgan.run.status_records import LABEL_MAP, REAL, Look, SampleFile, Samples
from flower_dgan.synthesis import sample_grid, to_pixels
from flower_dgan.whole_file import whole_file
from flower_dgan.wiring import bundle_settings

_ROWS = 8
_DRAWS = 2
_FOLDER, _ALWAYS = "samples", "always"
_GREY = 127.5  # grey levels of one unit of [-1, 1]
_END = 1 / 255  # distance from -1 or 1 within which a value becomes the first or the last of 256 grey levels


@dataclass(frozen=True)
class SamplePlan:
    """What the sample grids show.

    Attributes
    ----------
    draws : tuple of GeneratorInput
        The rows' label maps and sites, each draw with other noise.
    real : uint8 array (rows, height, width, channels) or None
        The real images of those label maps.
    clients : tuple of str
        Whose label map each row has, by name.
    colours : tuple of str
        Of the classes; none for grey levels.
    """

    draws: tuple[GeneratorInput, ...]
    real: NDArray[np.uint8] | None
    clients: tuple[str, ...]
    colours: tuple[str, ...]

    def write(self, network: nn.Module, directory: Path, round_number: int) -> Samples:
        """Write the grid of a generator as PNG, and each picture of it as a file of its own.

        The pictures of label maps and of real images, which are the same in all grids of a run, are one file each.

        Parameters
        ----------
        network : nn.Module
            The generator.
        directory : Path
            That of the run; the files are in ``samples/`` there.
        round_number : int
            After which round this is.

        Returns
        -------
        Samples
            Where all is, and what the images on the label maps of each client look like.
        """
        name = f"round-{round_number:05d}"
        grid = f"{_FOLDER}/{name}.png"
        # The folders before the grid: by them the page knows that a line with all its pictures will follow.
        (directory / _FOLDER / name).mkdir(exist_ok=True)
        (directory / _FOLDER / _ALWAYS).mkdir(exist_ok=True)
        drawn, pictures = sample_grid(network, self.draws, self.real, directory / grid, self.colours)
        draws = [f"draw {number}" for number in range(1, len(drawn) + 1)]
        files = []
        for row, (client, cells) in enumerate(zip(self.clients, pictures, strict=True)):
            columns = [LABEL_MAP, *draws] if self.real is None else [LABEL_MAP, *draws, REAL]
            for column, cell in zip(columns, cells, strict=True):
                folder = name if column in draws else _ALWAYS
                file = f"{_FOLDER}/{folder}/{row}-{column.replace(' ', '-')}.png"
                _write_picture(directory / file, cell, f"{client}, {column}")
                files.append(SampleFile(row, client, column, file))
        return Samples(round_number, grid, tuple(files), self._looks(torch.stack(drawn)))

    def _looks(self, images: Tensor) -> dict[str, Look]:
        rows = {name: [each == name for each in self.clients] for name in self.clients}
        return {name: look_of(images[:, of]) for name, of in rows.items()}


def look_of(images: Tensor) -> Look:
    """Say in numbers what synthetic images look like.

    Parameters
    ----------
    images : Tensor, float, (draws, rows, channels, height, width)
        In [-1, 1]; draws differ by their noise alone.
    """
    images = images.double()
    channels = images.transpose(0, 2).flatten(1)
    return Look(
        draws_differ=float((images[0] - images[1]).square().mean().sqrt()) * _GREY if len(images) > 1 else None,
        saturated=float((images.abs() >= 1 - _END).double().mean()),
        mean=tuple(((channels.mean(1) + 1) * _GREY).tolist()),
        deviation=tuple((channels.std(1, correction=0) * _GREY).tolist()),
    )


def _write_picture(path: Path, picture: NDArray[np.uint8], title: str) -> None:
    """Write one picture as it is, with whose it is among what PNG files say of themselves."""
    text = PngInfo()
    text.add_itxt("Title", title)
    with whole_file(path, durable=False) as partial:
        Image.fromarray(picture).save(partial, format="PNG", pnginfo=text, compress_level=1)


def plan_samples(config: Config, clients: Sequence[JoinedClient], federation: LocalFederation | None) -> SamplePlan:
    """Choose the rows of the sample grids, from all clients in turn.

    Parameters
    ----------
    config : Config
        The run's configuration. Only the embedded digits are shown beside the synthetic images, if these are made from
        their label maps.
    clients : sequence of JoinedClient
        Who takes part.
    federation : LocalFederation or None
        The real pairs of the same clients, where the server has them.
    """
    settings = replace(bundle_settings(config), exchanges=1, batch_size=_ROWS)
    inputs, images = [], []
    for row in range(_ROWS):
        index = row % len(clients)
        client = clients[index]
        views, drawn = draw_bundle(client.labels, settings, 0)
        inputs.append(drawn[row : row + 1])
        if config.data.source == "digits" and not config.data.foreign_label_maps and federation is not None:
            pixels = apply_to_images(federation.real[index].images, views, settings.image_size)
            images.append(to_pixels(pixels[row : row + 1]))
    label_maps, sites = torch.cat([i.label_maps for i in inputs]), torch.cat([i.sites for i in inputs])
    generator = derive_generator(config.seed, "samples")
    noise = torch.randn(_DRAWS, _ROWS, config.model.noise_channels, generator=generator)
    texture = torch.randn(_DRAWS, _ROWS, 1, *label_maps.shape[2:], generator=generator)
    draws = tuple(GeneratorInput(label_maps, noise[i], texture[i], sites) for i in range(_DRAWS))
    names = tuple(clients[row % len(clients)].name for row in range(_ROWS))
    return SamplePlan(draws, np.concatenate(images) if images else None, names, config.data.class_colours)
