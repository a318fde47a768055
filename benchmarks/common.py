"""What the benchmarks share: a federation in one process, and results as JSON lines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flower_dgan.algorithm.asyndgan import LocalClient
from flower_dgan.algorithm.bundle import ClientLabels
from flower_dgan.baselines import real_pairs
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source
from flower_dgan.wiring import ImageShape, discriminator_half


@dataclass(frozen=True)
class Federation:
    """Clients in this process.

    Attributes
    ----------
    shape : ImageShape
        What the networks see.
    labels : tuple of ClientLabels
        What the server knows, in the order of the clients' names.
    real : tuple of Pairs
        The clients' real pairs, in the same order.
    """

    shape: ImageShape
    labels: tuple[ClientLabels, ...]
    real: tuple[Pairs, ...]

    def local_clients(self, config: Config) -> list[LocalClient]:
        """Return the clients with fresh discriminators."""
        return [
            LocalClient(labels, pairs.images, discriminator_half(config, self.shape, labels.name))
            for labels, pairs in zip(self.labels, self.real, strict=True)
        ]

    def pooled(self) -> Pairs:
        """Return the real pairs of all clients together."""
        images = tuple(image for pairs in self.real for image in pairs.images)
        label_maps = tuple(label_map for pairs in self.real for label_map in pairs.label_maps)
        return Pairs(images, label_maps, self.shape.classes)


def open_federation(config: Config, clients: int) -> Federation:
    """Read the data of as many simulated clients as a run through Flower would have."""
    real = dict(sorted(real_pairs(config, clients).items()))
    shape = ImageShape(next(iter(real.values())).classes, config.data.channels, config.data.image_size, tuple(real))
    labels = tuple(
        ClientLabels(name, pairs.label_maps, pairs.classes, index) for index, (name, pairs) in enumerate(real.items())
    )
    return Federation(shape, labels, tuple(real.values()))


def natural_clients(config: Config, otherwise: int) -> int:
    """Return how many clients the partition makes, ``otherwise`` where any number goes."""
    if config.partition.name == "label":
        return len(config.partition.label_groups)
    if config.partition.name == "site":
        return len({entry.site for entry in open_source(config.data).train})
    return otherwise


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one result to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; none where there is no file.

    A last line without its end, as an interrupted benchmark leaves it, is cut off the file.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]
