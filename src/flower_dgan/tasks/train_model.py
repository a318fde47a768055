"""A model of a task from a folder, to be kept: what the synthetic images of a GAN are for in the end."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from flower_dgan.config import Config, DataConfig
from flower_dgan.data import Entry, Pairs, open_source
from flower_dgan.data.image_files import list_images
from flower_dgan.data.origins import read_origins
from flower_dgan.data.splits import validation_groups
from flower_dgan.errors import DataError
from flower_dgan.tasks import find_task
from flower_dgan.tasks.model_file import ModelKind
from flower_dgan.tasks.task import Task
from flower_dgan.tasks.tstr import with_truth

_HELD_OUT = 0.2  # of the groups, where no validation folder is given
_ALL_COUNT = (
    "All objects that are found count: there are no pairs with objects to hold out and choose a threshold by, and no "
    "--validation"
)


def train_model(
    folder: Path, config: Config, validation: Path | None, say: Callable[[str], None]
) -> tuple[nn.Module, ModelKind]:
    """Train a model of ``config.downstream`` on the pairs of a folder.

    Of a folder whose names or table tell a split it is the training split, otherwise all pairs. What of a model is
    chosen by validation images, as the threshold of instances is, is chosen by those of another folder, or by a fifth
    of the groups of this one, which are not learned from then, where it keeps objects.

    Parameters
    ----------
    folder : Path
        With ``images/`` and ``masks/``.
    config : Config
        The settings.
    validation : Path or None
        A folder of other pairs, with objects.
    say : callable
        Is given a sentence on what is learned from, and on what was chosen how.

    Raises
    ------
    ConfigError, DataError
        The settings make no model, or the folders cannot be used.
    """
    task, data = find_task(config.downstream.task), _data(folder, config.data)
    task.check_model(config.downstream, data.image_size)
    source = open_source(data, divided=data.name_pattern is not None or data.table is not None)
    entries: Sequence[Entry] = source.train
    held_out: Pairs | None = None
    if task.calibrates and validation is not None:
        held_out = _other(validation, config, source.classes)
    elif task.calibrates:
        groups = validation_groups([entries], _HELD_OUT)
        chosen = [entry for entry in entries if entry.group in groups]
        known = with_truth(source.load(chosen), config.downstream, data, chosen)
        if chosen and known.objects is not None:
            held_out, entries = known, [entry for entry in entries if entry.group not in groups]
    pairs = source.load(entries)
    say(f"Learning from {len(pairs):,} of {len(source.train) + len(source.test):,} pairs in {folder}")
    model = _fitted(task, pairs, config)
    if task.calibrates:
        say(_ALL_COUNT if held_out is None else task.calibrate(model, held_out))
    return model, ModelKind(config.downstream, data.channels, pairs.classes, data.image_size, data.class_names)


def _fitted(task: Task, pairs: Pairs, config: Config) -> nn.Module:
    size, augmentation = config.data.image_size, config.data.augmentation
    training = task.fit(pairs, config.downstream, image_size=size, augmentation=augmentation, seed=config.seed)
    training.run(config.downstream.steps)
    return training.model


def _data(folder: Path, data: DataConfig) -> DataConfig:
    """Return the settings of a folder, without the pattern where none of its names is as that wants them.

    Where some are, the others are misnamed, which is an error: a split that is dropped lets test images be learned.
    """
    found = replace(data, source="folder", root=str(folder.absolute()), condition="label-map")
    if found.name_pattern is None or found.table is not None:
        return found
    images = folder / "images"
    stems = list_images(images) if images.is_dir() else {}
    fitting = any(_fits(stem, folder, found) for stem in stems)
    return found if fitting else replace(found, name_pattern=None)


def _fits(stem: str, folder: Path, data: DataConfig) -> bool:
    try:
        read_origins([stem], folder, data)
    except DataError:
        return False
    return True


def _other(folder: Path, config: Config, classes: int) -> Pairs:
    data = replace(_data(folder, config.data), name_pattern=None, table=None, classes=classes)
    source = open_source(data, divided=False)
    found = with_truth(source.load(source.train), config.downstream, data, source.train)
    if found.objects is None:
        raise DataError(f"{folder} keeps no objects to choose a threshold by: add instances.json, or leave it out.")
    return found
