"""What a training leaves for the next task: its generator, and the label maps that it has seen."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import Config
from flower_dgan.data import PackedLabelMaps, pack, unpack
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.server_state import PreviousTask
from flower_dgan.generator_file import load_generator
from flower_dgan.plugins import import_paths, package_of
from flower_dgan.whole_file import whole_file

GENERATOR, LABEL_MAPS = "generator.safetensors", "label_maps.npz"
FOLDER = "data.label_maps"
"""What stands for the clients of a training that drew from a folder."""


def open_previous_task(config: Config) -> PreviousTask | None:
    """Read the run directory that the algorithm begins with; None where it begins with none.

    It may be somebody else's: only code of packages that this run's own settings name is imported for it.

    Raises
    ------
    ConfigError
        If networks or images of the two tasks differ, or the network of the one before is of another package.
    DataError
        If it is not a run directory with a generator and label maps.
    """
    previous = algorithm_of(config).previous_run
    if previous is None:
        return None
    directory = Path(previous).expanduser()
    packages = {package_of(path) for path in import_paths(config).values()}
    generator, model, shape = load_generator(directory / GENERATOR, packages)
    if model != config.model:
        raise ConfigError(f"{directory} was trained with {model}, not with {config.model}: a task keeps the networks.")
    labels = read_label_maps_of_run(directory / LABEL_MAPS)
    for name, before, now in (
        ("data.image_size", shape.image_size, config.data.image_size),
        ("data.channels", shape.channels, config.data.channels),
    ):
        if before != now:
            raise ConfigError(f"The task before, {directory}, had {name}={before}, not {now}: a task keeps it.")
    return PreviousTask(generator, labels)


def save_label_maps(path: Path, labels: Sequence[ClientLabels]) -> None:
    """Write the label maps of clients, losslessly packed; foreign ones once for all clients that have them.

    Only the user who runs the server can read the file.
    """
    foreign = [ClientLabels(FOLDER, each.foreign, each.classes, 0) for each in labels if each.foreign]
    labels = [*(each for each in labels if not each.foreign), *foreign[:1]]
    arrays: dict[str, Any] = {
        "clients": np.array(json.dumps([(each.name, each.classes, each.site) for each in labels])),
        "publish": np.array([each.publish for each in labels]),
    }
    for index, each in enumerate(labels):
        packed = pack(each.label_maps, each.classes)
        arrays |= {f"data-{index}": np.frombuffer(packed.data, np.uint8), f"shapes-{index}": packed.shapes}
    with whole_file(path, private=True) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def read_label_maps_of_run(path: Path) -> tuple[ClientLabels, ...]:
    """Read what :func:`save_label_maps` wrote; raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            # Files of earlier versions do not say it: then nobody allowed it.
            publish = arrays["publish"].tolist() if "publish" in arrays else ()
            return tuple(
                ClientLabels(
                    name,
                    unpack(PackedLabelMaps(arrays[f"data-{index}"].tobytes(), arrays[f"shapes-{index}"], classes)),
                    classes,
                    site,
                    publish=bool(publish[index]) if index < len(publish) else False,
                )
                for index, (name, classes, site) in enumerate(json.loads(str(arrays["clients"])))
            )
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"{path} does not hold the label maps of a run: {error}. Give its run directory.") from error
