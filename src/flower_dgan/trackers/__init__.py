"""Experiment trackers, one file each: the file ``tensorboard.py`` is the tracker ``tensorboard``.

A file has a ``TRACKER``, a class that follows :class:`~flower_dgan.trackers.tracker.Tracker`, and nothing else lists
them. One of the user's own is named by its import path.
"""

import importlib
import pkgutil

from flower_dgan.config.import_path import is_import_path
from flower_dgan.errors import ConfigError, DganError, one_line, unknown_name
from flower_dgan.plugins import make
from flower_dgan.trackers.tracker import Tracker

_OTHERS = ("feed", "running", "tracker")
_PACKAGES = {"tensorboard": "tensorboardX"}  # where it is not called as the tracker


def tracker_names() -> tuple[str, ...]:
    """Return the names of the shipped ones."""
    return tuple(found.name for found in pkgutil.iter_modules(__path__) if found.name not in _OTHERS)


def open_tracker(name: str, setting: str = "output.trackers") -> Tracker:
    """Make the tracker of a name or import path.

    Raises
    ------
    ConfigError
        If there is none of that name, or the package that it needs is not installed or cannot be imported.
    """
    if is_import_path(name):
        found: Tracker = make(name, setting)
        return found
    if name not in tracker_names():
        raise ConfigError(unknown_name(f"tracker in {setting}", name, tracker_names()))
    try:
        made: Tracker = importlib.import_module(f"{__name__}.{name}").TRACKER()
    except ImportError as error:
        package = _PACKAGES.get(name, name)
        raise ConfigError(
            f"{setting}={name} needs the package {package}, which cannot be imported ({error}): pip install {package}."
        ) from error
    except DganError:
        raise
    except Exception as error:  # a package whose own dependencies do not suit it may raise anything
        package = _PACKAGES.get(name, name)
        raise ConfigError(
            f"{setting}={name} needs the package {package}, which is installed and broken ({one_line(error)}): "
            f"pip install --upgrade {package}, or do without that tracker."
        ) from error
    return made
