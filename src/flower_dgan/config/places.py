"""Where the shipped configuration lies."""

from pathlib import Path


def conf_directory() -> Path:
    """Return the directory of the shipped configuration: in the installed package, or ``conf/`` of a source tree."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"
