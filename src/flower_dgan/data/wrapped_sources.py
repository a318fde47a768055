"""Sources that show less than there is: label maps of the image's class or of nothing; or label maps as images."""

from collections.abc import Iterator, Sequence

import numpy as np

from flower_dgan.config import DataConfig
from flower_dgan.data.declared_classes import not_a_class
from flower_dgan.data.pairs import Entry, Pairs, Pixels, Source, own_images
from flower_dgan.errors import ConfigError, DataError


class ConstantLabelMaps:
    """A source with constant label maps in place of its own, so that a condition is a label map everywhere else.

    Parameters
    ----------
    source : Source
        Where the images come from.
    config : DataConfig
        ``condition`` is ``class`` or ``none``.

    Attributes
    ----------
    classes : int
        For ``class`` ``config.classes``, or else those of whole images; for ``none`` 1, whose one-hot label map is a
        constant.
    image_classes : int
        As in the source.
    train, test : sequence of Entry
        As in the source.

    Raises
    ------
    ConfigError
        For ``class``, if an image has none.
    DataError
        For ``class``, if an image has one beyond ``config.classes``.
    """

    def __init__(self, source: Source, config: DataConfig) -> None:
        self._source = source
        self._by_class = config.condition == "class"
        self.train, self.test = source.train, source.test
        self.image_classes = source.image_classes
        if self._by_class and any(entry.label < 0 for entry in (*self.train, *self.test)):
            raise ConfigError(
                f"data.condition=class needs a class for every image, and data.source={config.source} has images "
                "without one: set data.condition=label-map, or data.condition=none."
            )
        self.classes = (config.classes or self.image_classes) if self._by_class else 1
        for entry in (*self.train, *self.test) if self._by_class else ():
            if entry.label >= self.classes:
                raise DataError(not_a_class(entry.name, entry.label, self.classes))

    def own_images(self, entries: Sequence[Entry]) -> Iterator[Pixels]:
        """Yield the images of the source, see :func:`~flower_dgan.data.pairs.own_images`."""
        return own_images(self._source, entries)

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Read the images of some entries; their label maps hold the class of the image, or 0."""
        images = self._source.load(entries).images
        ids = [entry.label if self._by_class else 0 for entry in entries]
        label_maps = (np.full(image.shape[:2], k, np.uint8) for image, k in zip(images, ids, strict=True))
        return Pairs(images, tuple(label_maps), self.classes)


class LabelMapsAsImages:
    """A source whose images are its own label maps, 0 and 255, so that a generator can learn to draw some.

    Parameters
    ----------
    source : Source
        Where the label maps come from.

    Attributes
    ----------
    classes, image_classes : int
        As in the source.
    train, test : sequence of Entry
        As in the source.

    Raises
    ------
    ConfigError
        If there are more than two classes.
    """

    def __init__(self, source: Source) -> None:
        if source.classes != 2:
            raise ConfigError(
                f"data.target=label-maps wants masks of background and foreground, and these have {source.classes} "
                "classes."
            )
        self._source = source
        self.classes, self.image_classes = source.classes, source.image_classes
        self.train, self.test = source.train, source.test

    def own_images(self, entries: Sequence[Entry]) -> Iterator[Pixels]:
        """Yield the images of the source, see :func:`~flower_dgan.data.pairs.own_images`."""
        return own_images(self._source, entries)

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Read the label maps of some entries, as images too."""
        label_maps = self._source.load(entries).label_maps
        return Pairs(tuple(each[..., None] * np.uint8(255) for each in label_maps), label_maps, self.classes)
