"""Algorithms by their names, and settings with those of the algorithm that they name."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from flower_dgan import algorithms
from flower_dgan.algorithms.base import Algorithm, AnyAlgorithm
from flower_dgan.config import TrainingConfig
from flower_dgan.config.import_path import is_import_path
from flower_dgan.config.read import read_settings
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.plugins import load

ConfigT = TypeVar("ConfigT", bound=TrainingConfig)


@cache
def shipped() -> dict[str, type[AnyAlgorithm]]:
    """Return the algorithms of this package by name: each class in one of its files that has a name."""
    found: dict[str, type[AnyAlgorithm]] = {}
    for module in iter_modules(algorithms.__path__):
        for kind in vars(import_module(f"{algorithms.__name__}.{module.name}")).values():
            if isinstance(kind, type) and issubclass(kind, Algorithm) and kind.name:
                found[kind.name] = kind
    return found


def find(name: str) -> type[AnyAlgorithm]:
    """Return the algorithm of a name, or of an import path.

    Raises
    ------
    ConfigError
        If there is none, or it is no :class:`~flower_dgan.algorithms.base.Algorithm`.
    """
    if not is_import_path(name):
        if name not in shipped():
            raise ConfigError(unknown_name("algorithm.name", name, sorted(shipped())))
        return shipped()[name]
    kind = load(name, "algorithm.name")
    if not (isinstance(kind, type) and issubclass(kind, Algorithm)):
        raise ConfigError(f"algorithm.name={name} is no class derived from flower_dgan.algorithms.base.Algorithm.")
    return kind


def algorithm_of(config: TrainingConfig) -> AnyAlgorithm:
    """Return the algorithm of a training."""
    return find(config.algorithm.name)(config.algorithm)


def read_config(kind: type[ConfigT], values: Any, allow_code: Callable[[str, str], None] = lambda *_: None) -> ConfigT:
    """Build a configuration from nested dictionaries, such as :func:`dataclasses.asdict` makes of it.

    Parameters
    ----------
    kind : type
        Of the configuration.
    values : mapping
        By the names of the settings.
    allow_code : callable
        Called with ``algorithm.name`` and its import path, if it is one, before anything is imported for it; raises
        where the owner of a node is against it.

    Raises
    ------
    ConfigError
        If a name or value is unknown or missing.
    """
    if not isinstance(values, dict) or not isinstance(values.get("algorithm"), dict):
        return read_settings(kind, values)
    name = values["algorithm"].get("name")
    if not isinstance(name, str):
        raise ConfigError(f"algorithm.name={'null' if name is None else repr(name)} is no name of an algorithm.")
    if is_import_path(name):
        allow_code("algorithm.name", name)
    settings = read_settings(find(name).Settings, values["algorithm"], "algorithm.")
    return read_settings(kind, {**values, "algorithm": settings})
