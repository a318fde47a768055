"""Clients that hold only some of the channels of the images: a modality or a band is missing.

As in Q. Chang et al., "Mining multi-center heterogeneous medical data with distributed synthetic learning", Nature
Communications 2023: the generator draws all channels, and a client's discriminator judges those that the client holds.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flower_dgan.config import DataConfig
from flower_dgan.data.pairs import Pairs, Pixels
from flower_dgan.errors import ConfigError, unknown_name

Channels = tuple[int, ...] | None
"""Which channels of the images a client holds, from 0 and ascending; None for all."""


def held(channels: Channels) -> slice | list[int]:
    """Return the index of a client's channels, for that axis of a tensor or an array."""
    return slice(None) if channels is None else list(channels)


def simulated_channels(config: DataConfig, client: str) -> Channels:
    """Return which channels a simulated client holds, as ``missing_channels`` says."""
    missing = dict(config.missing_channels).get(client, ())
    return tuple(index for index in range(config.channels) if index not in missing) if missing else None


def own_channels(config: DataConfig, given: str) -> Channels:
    """Read which channels the files of a deployed node hold.

    Parameters
    ----------
    config : DataConfig
        ``channels`` is used: how many there are in all.
    given : str
        Such as ``0,2``.

    Raises
    ------
    ConfigError
        If these are no channels of the run, from 0 and ascending.
    """
    words = given.split(",")
    found = tuple(int(word) for word in words if word.strip().isdecimal())
    if len(found) != len(words) or list(found) != sorted({*found} & {*range(config.channels)}):
        raise ConfigError(
            f'The node configuration has channels="{given}": name those of 0 .. {config.channels - 1} that its files '
            "hold, in ascending order and separated by commas."
        )
    return None if len(found) == config.channels else found


def require_clients_of_missing_channels(config: DataConfig, clients: Sequence[str]) -> None:
    """Raise ConfigError if ``missing_channels`` names a client that there is not."""
    for client, _ in config.missing_channels:
        if client not in clients:
            raise ConfigError(unknown_name("client in data.missing_channels", client, clients))


def hide_channels(pairs: Pairs, channels: Channels) -> Pairs:
    """Return pairs without the channels that a client does not hold."""
    if channels is None:
        return pairs
    return replace(pairs, images=tuple(np.ascontiguousarray(image[..., held(channels)]) for image in pairs.images))


def fill_channels(pairs: Pairs, channels: Channels, count: int) -> Pairs:
    """Return the pairs of a client with all ``count`` channels, of which those that it does not hold are 0."""
    if channels is None:
        return pairs

    def filled(image: Pixels) -> Pixels:
        whole = np.zeros((*image.shape[:2], count), np.uint8)
        whole[..., held(channels)] = image
        return whole

    return replace(pairs, images=tuple(map(filled, pairs.images)))
