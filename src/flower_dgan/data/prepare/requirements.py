"""Packages of optional extras."""

import importlib
from typing import Any

from flower_dgan.errors import ConfigError


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional extra; raises ConfigError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs {module}, which is not installed: pip install 'flower-dgan[{extra}]'."
        ) from error
