"""Import paths: ``module:attribute`` in place of a shipped name, for data, networks or an algorithm of the user's own.

Nothing is imported before it is made an object, and at a node not before its owner's policy was asked.
"""

import importlib
from collections.abc import Callable
from typing import Any

from flower_dgan.config import ImportPath, TrainingConfig
from flower_dgan.config.import_path import check_import_path, is_import_path
from flower_dgan.errors import ConfigError, unknown_name


def package_of(path: str) -> str:
    """Return the top-level package of an import path."""
    return path.partition(":")[0].partition(".")[0]


def import_paths(config: TrainingConfig) -> dict[str, ImportPath]:
    """Return the import paths of a configuration, by the settings that name them."""
    settings = {
        "data.source": config.data.source,
        "model.generator": config.model.generator,
        "model.discriminator": config.model.discriminator,
        "algorithm.name": config.algorithm.name,
    }
    return {setting: name for setting, name in settings.items() if is_import_path(name)}


def load(path: str, setting: str) -> Callable[..., Any]:
    """Import what a setting names.

    Parameters
    ----------
    path : str
        ``package.module:attribute``.
    setting : str
        Its key, for messages.

    Raises
    ------
    ConfigError
        If there is no such module or attribute, if the module cannot be imported, or if it is nothing to call.
    """
    check_import_path(path, setting)
    name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"{setting}={path}: there is no module {error.name} here. It must be installed where the server and "
                "every node run, for example with `pip install -e <its folder>`."
            ) from error
        raise ConfigError(f"{setting}={path}: {name} cannot be imported: {error}.") from error
    if not hasattr(module, attribute):
        known = [each for each in vars(module) if not each.startswith("_")]
        raise ConfigError(unknown_name(f"attribute of {name} in {setting}", attribute, known))
    found = getattr(module, attribute)
    if not callable(found):
        raise ConfigError(f"{setting}={path} is of type {type(found).__name__}: a class or a function is wanted.")
    return found  # type: ignore[no-any-return]


def make(path: str, setting: str, **arguments: Any) -> Any:
    """Call what a setting names with arguments in this order; raises ConfigError if it cannot be."""
    kind = load(path, setting)
    try:
        return kind(*arguments.values())
    except TypeError as error:
        raise ConfigError(f"{setting}={path} cannot be called with ({', '.join(arguments)}): {error}.") from error
