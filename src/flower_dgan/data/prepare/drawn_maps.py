"""Class maps in place of masks, drawn from the objects of a data set: what models of instances learn from."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from flower_dgan.data.class_maps import CLASSES, Shape, class_map
from flower_dgan.data.object_masks import of_numbers
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings
from flower_dgan.errors import ConfigError, DataError


def with_class_maps(found: Found, settings: PrepareSettings) -> Found:
    """Return a data set whose masks are drawn from its objects, as ``settings.class_maps`` says.

    Raises
    ------
    ConfigError
        Pairs are to be resized, which thin lines do not survive.
    """
    if settings.class_maps is None:
        return found
    if settings.size is not None:
        raise ConfigError("--class-maps draws lines two pixels wide, which --size would spoil: leave one of them out.")
    drawn = (replace(each, read=partial(_read, each, settings.class_maps)) for each in found.originals)
    return replace(found, originals=tuple(drawn), classes=tuple(CLASSES))


def _read(original: Original, shape: Shape) -> Iterable[tuple[str, OriginalPair]]:
    for part, pair in original.read():
        objects = pair.objects
        if objects is None and pair.instances is not None:
            objects = of_numbers(pair.instances)
        if objects is None:
            raise DataError(
                f"{original.source} has no objects to draw a class map of: add them to instances/, or leave such "
                "images out with --skip-unreadable."
            )
        yield part, replace(pair, mask=class_map(objects, shape))
