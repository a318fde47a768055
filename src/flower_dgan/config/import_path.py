"""Names of the user's own in place of shipped ones."""

from typing import Annotated, NewType, TypeGuard

from annotated_types import Predicate

from flower_dgan.errors import ConfigError


def is_well_formed(path: str) -> bool:
    """Return whether a text is of the form ``package.module:attribute``."""
    module, _, attribute = path.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), attribute))


_Path = NewType("_Path", str)
ImportPath = Annotated[_Path, Predicate(is_well_formed)]
"""``module:attribute`` of the user's own in place of a shipped name, see ``flower_dgan.plugins``."""


def is_import_path(name: str) -> TypeGuard[ImportPath]:
    """Return whether a name is meant as an import path: no shipped name has a colon."""
    return ":" in name


def check_import_path(path: str, setting: str) -> None:
    """Raise ConfigError if a setting is not of the form ``package.module:attribute``."""
    if not is_well_formed(path):
        raise ConfigError(f"{setting}={path} is no import path: write package.module:attribute.")
