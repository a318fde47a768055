"""Masks with a palette: their indices are the values, and what the palette shows may say that this cannot be."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path

from PIL import Image

from flower_dgan.config.data_settings import MasksName
from flower_dgan.data.picture_files import opened
from flower_dgan.errors import DataError

_PALETTED = ("P", "PA")
Colour = tuple[int, ...]


def check_levels(image: Image.Image, used: Collection[int], path: Path) -> None:
    """Raise DataError if the grey levels that a mask's palette shows have another order than its values.

    Programs that make palettes of grey pictures number the levels as they come, so that white may be 0 and black 1. A
    viewer shows such a mask rightly, and its values are the reverse.

    Parameters
    ----------
    image : Image
        Opened; only those with a palette are looked at.
    used : collection of int
        The values that occur.
    path : Path
        Its file, for the message.
    """
    colours = _colours(image)
    shown = [(value, colours[value]) for value in sorted(used) if value < len(colours)]
    if all(len(set(colour)) == 1 for _, colour in shown):
        for (low, darker), (high, lighter) in pairwise(shown):
            if darker > lighter:
                raise DataError(
                    f"{path} holds the values {low} and {high}, which its palette shows as {_hex(darker)} and "
                    f"{_hex(lighter)}, in reverse order: save it as grey PNG, each pixel with the value of its class."
                )


def require_one_order(values: Mapping[Path, Mapping[int, int]], masks: MasksName | None = None) -> None:
    """Raise DataError if one colour is one value in one mask, and another in the next: each has a palette of its own.

    Parameters
    ----------
    values : mapping of Path to mapping
        How many pixels of each mask hold each value.
    masks : {"classes", "binary", "objects"} or None
        What values say. Numbers of objects may have any colours, as long as the background has its own.
    """
    seen: dict[Colour, dict[int, Path]] = {}
    for path, counts in values.items():
        with opened(path) as image:
            colours = _colours(image)
        for value in (value for value in counts if value < len(colours)):
            others = seen.setdefault(colours[value], {})
            for other, first in others.items():
                # Of a palette in which two values have one colour nothing can be said.
                apart = other != value and not (other < len(colours) and colours[other] == colours[value])
                if apart and (masks != "objects" or 0 in (other, value)):
                    raise DataError(
                        f"{_hex(colours[value])} is the value {other} in {first} and {value} in {path}, since each has "
                        "a palette of its own: save masks as grey PNG, each pixel with the value of its class, or name "
                        "the colours of the classes, flower-dgan data prepare folder --colour."
                    )
            others.setdefault(value, path)


def _colours(image: Image.Image) -> list[Colour]:
    """Return the colours of a palette by their indices; none for a picture without one."""
    if image.mode not in _PALETTED:
        return []
    flat = image.getpalette() or []
    return [tuple(flat[start : start + 3]) for start in range(0, len(flat), 3)]


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()
