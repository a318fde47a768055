"""Two data sets as one source with twenty classes: MNIST's digits and Fashion-MNIST's clothes, equally many of each.

    data.source=two_sets:TwoSets data.root=<folder> data.channels=1

where the folder holds both data sets' files, ``mnist-10k/`` and ``fashion-mnist-900/`` or any two folders that sort as
MNIST before Fashion-MNIST. Digits are labels 0 to 9, clothes 10 to 19.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flower_dgan.config import DataConfig
from flower_dgan.data import Entry, MnistSource, Pairs

SETS = {"mnist-10k": "mnist", "fashion-mnist-900": "fashion-mnist"}


class TwoSets:
    """A source as flower-dgan takes it by import path."""

    classes, image_classes = 2, 20

    def __init__(self, config: DataConfig) -> None:
        root = Path(config.root or "")
        self._sources = {
            name: MnistSource(replace(config, source=name, root=str(root / folder))) for folder, name in SETS.items()
        }
        self.train, self.test = self._entries("train"), self._entries("test")

    def _entries(self, split: str) -> tuple[Entry, ...]:
        of_each = [getattr(source, split) for source in self._sources.values()]
        count = min(map(len, of_each))
        return tuple(
            replace(entry, name=f"{name}/{entry.name}", site=name, label=10 * index + entry.label)
            for index, (name, entries) in enumerate(zip(self._sources, of_each, strict=True))
            for entry in entries[:count]
        )

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Read the images of some entries."""
        pairs = []
        for entry in entries:
            name, _, original = entry.name.partition("/")
            pairs.append(self._sources[name].load([replace(entry, name=original)]))
        images = tuple(image for each in pairs for image in each.images)
        return Pairs(images, tuple(label_map for each in pairs for label_map in each.label_maps), self.classes)
