"""Colours of classes."""

from collections.abc import Sequence

import numpy as np

from flower_dgan.config.data_settings import COLOUR
from flower_dgan.data.pairs import Pixels
from flower_dgan.errors import ConfigError


def parse_colour(text: str) -> Pixels:
    """Return red, green and blue as a uint8 array (3,) of ``#rrggbb``; raises ConfigError if it is something else."""
    found = COLOUR.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text[:64]!r} is no colour: write #rrggbb, such as #ff0000 for red.")
    return np.frombuffer(bytes.fromhex(found[1]), np.uint8)


def paint(label_maps: Pixels, colours: Sequence[str]) -> Pixels:
    """Show label maps in the colours of their classes.

    Parameters
    ----------
    label_maps : uint8 array (..., height, width)
        Class ids below the number of colours.
    colours : sequence of str
        ``#rrggbb`` of class 0, 1, ...

    Returns
    -------
    uint8 array (..., height, width, 3)
        RGB.
    """
    return np.stack([parse_colour(colour) for colour in colours])[label_maps]
