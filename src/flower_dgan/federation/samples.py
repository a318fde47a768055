"""The sample grids of a run: the same label maps and noise at every interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flower_dgan.baselines.rows import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data import apply_to_images
from flower_dgan.federation.join import JoinedClient
from flower_dgan.gan.bundle import draw_bundle
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.randomness import derive_generator
from flower_dgan.synthesis import sample_grid, to_pixels
from flower_dgan.wiring import bundle_settings

_ROWS = 8
_DRAWS = 2


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

    def write(self, network: nn.Module, path: Path) -> dict[str, Tensor]:
        """Write the grid of a generator as PNG.

        Returns
        -------
        dict of str to Tensor, float, (draws, rows, channels, height, width)
            The images in [-1, 1] on the label maps of each client that has a row, by its name.
        """
        images = torch.stack(sample_grid(network, self.draws, self.real, path, self.colours))
        return {name: images[:, [each == name for each in self.clients]] for name in self.clients}


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
