"""Sources whose number of classes is set, rather than guessed from what they hold."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flower_dgan.data.pairs import Entry, Pairs, Pixels, Source, own_images
from flower_dgan.errors import DataError


class DeclaredClasses:
    """A source with another number of classes than it found itself: one that lacks a class has as many as the others.

    Parameters
    ----------
    source : Source
        Where the pairs come from.
    classes : int
        ``data.classes``.

    Attributes
    ----------
    classes : int
        As given.
    image_classes : int
        As in the source.
    train, test : sequence of Entry
        As in the source.
    """

    def __init__(self, source: Source, classes: int) -> None:
        self._source = source
        self.classes, self.image_classes = classes, source.image_classes
        self.train, self.test = source.train, source.test

    def own_images(self, entries: Sequence[Entry]) -> Iterator[Pixels]:
        """Yield the images of the source, see :func:`~flower_dgan.data.pairs.own_images`."""
        return own_images(self._source, entries)

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Read the pixels of some entries; raises DataError if a label map holds what is no class."""
        pairs = self._source.load(entries)
        for entry, label_map in zip(entries, pairs.label_maps, strict=True):
            if label_map.max() >= self.classes:
                raise DataError(not_a_class(entry.name, int(label_map.max()), self.classes))
        return replace(pairs, classes=self.classes)


def not_a_class(what: str, found: int, classes: int) -> str:
    """Say that a class is beyond those that are set, and what to do."""
    return (
        f"{what} holds class {found}, and with data.classes={classes} classes are 0 to {classes - 1}: correct it, or "
        f"let the run have data.classes={found + 1}."
    )
