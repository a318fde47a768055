"""The settings of a training as its owner may have them before it asks: of a run directory, or of a file."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from flower_dgan.algorithms.find import read_config
from flower_dgan.config import Config, TrainingConfig
from flower_dgan.data.plain_values import parse_json, read_yaml
from flower_dgan.device import AUTO
from flower_dgan.errors import ConfigError
from flower_dgan.node.own_data import without_paths
from flower_dgan.wire.description import describe_training, read_description

_OF_RUNS = "config.yaml"


def read_training_file(path: Path, allow_code: Callable[[str, str], None]) -> TrainingConfig:
    """Return what a deployed node would use of a training's settings.

    Parameters
    ----------
    path : Path
        A run directory, what ``flower-dgan config`` printed, or what a node noted of a training that asked.
    allow_code : callable
        See :func:`~flower_dgan.algorithms.find.read_config`; called before anything is imported.

    Raises
    ------
    ConfigError, ProtocolError
        If it cannot be read as settings.
    PolicyError
        If ``allow_code`` is against it.
    """
    file = path / _OF_RUNS if path.is_dir() else path
    try:
        values = read_yaml(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds no settings: name a run directory, or what `flower-dgan config` prints.")
    more = {field.name for field in fields(Config)} - {field.name for field in fields(TrainingConfig)}
    told = {name: value for name, value in values.items() if name not in more}
    return as_at_a_node(read_config(TrainingConfig, told, allow_code), allow_code)


def as_at_a_node(config: TrainingConfig, allow_code: Callable[[str, str], None]) -> TrainingConfig:
    """Return settings as a node has them of a server's message; raises as :func:`read_training_file`."""
    return replace(without_paths(read_description(describe_training(config), allow_code)), device=AUTO)


def read_noted(description: str, allow_code: Callable[[str, str], None]) -> TrainingConfig:
    """Return the settings that a node noted of a training that asked; raises as :func:`read_training_file`."""
    return read_config(TrainingConfig, parse_json(description), allow_code)
