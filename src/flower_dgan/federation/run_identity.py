"""The two files by which a run directory is known: the settings of the run, and which training it is."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from flower_dgan.algorithms.find import read_config
from flower_dgan.config import Config
from flower_dgan.data.plain_values import read_json, read_yaml
from flower_dgan.device import AUTO
from flower_dgan.errors import ConfigError
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.protocol import Training

CONFIG, TRAINING = "config.yaml", "training.json"


def settings_of_run(directory: Path) -> Config:
    """Read the settings of a run from its directory; raises ConfigError if they are damaged or of another version."""
    file = directory / CONFIG
    try:
        found = read_yaml(file)
        if not isinstance(found, dict):
            raise ValueError("the file is empty or damaged")
        return read_config(Config, found)
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The settings of the run in {file} cannot be read: {_words(error)}. Put the file back, or begin a new run."
        ) from error
    except ConfigError as error:
        raise ConfigError(
            f"{directory} was begun by another version of flower-dgan: {error} Finish it with that, or begin a new run."
        ) from error


def settings_of_training(config: Config) -> Config:
    """Return the settings without what may differ between two attempts."""
    return replace(config, resume=None, device=AUTO, output=replace(config.output, directory=None, trackers=()))


def read_training(path: Path) -> Training:
    """Read which training a run directory is of; raises ConfigError if the file is damaged."""
    file = path / TRAINING
    try:
        found = read_json(file)
        training = Training(**found)
        if not isinstance(training.identity, str) or type(training.attempt) is not int:
            raise TypeError("it does not name a training")
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{file} cannot be read: {_words(error)}. It is empty or damaged, and the training cannot go on without "
            "it: begin a new run."
        ) from error
    return training


def _words(error: Exception) -> str:
    """Return the text of an error in one line; a parser's has several."""
    return " ".join(str(error).split())


def write_training(path: Path, training: Training) -> None:
    """Write which training a run directory is of, and which attempt at it."""
    with whole_file(path / TRAINING) as partial:
        partial.write_text(json.dumps(asdict(training)) + "\n", encoding="utf-8")
