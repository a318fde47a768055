"""What a run and its trackers write into its directory, by name: whatever else is there is somebody else's."""

import re
from pathlib import Path

from flower_dgan.removal import LOCK

TRAINING = "training.json"
"""The file by which a directory is a run's."""

_NAMES = re.compile(
    r"training\.json|audit\.json|config\.yaml|metrics\.jsonl|members\.json|sum-keys\.json|label-maps\.sha256|lock"
    r"|report\.md|patients\.csv"
    r"|generator(_best)?\.safetensors|label_maps\.npz|(curves|gains)\.png"
    r"|samples|checkpoints|open-bundles|candidates|generators|synthetic|[0-9a-z_-]+\.partial"
    r"|tensorboard|wandb|mlflow\.db(-journal|-wal|-shm)?|mlartifacts"
)
_LINKING = ("wandb",)
"""Folders in which a tracker makes links, to its newest run and log."""


def is_run(directory: Path) -> bool:
    """Return whether a directory is a run's."""
    return (directory / TRAINING).is_file()


def files_of_run(directory: Path) -> tuple[list[Path], list[Path]]:
    """Return what in a run's directory the run and its trackers wrote, and what they did not, each by name.

    What makes it a run's comes last but for the lock: whoever removes the files in this order can begin again where
    that failed, and nobody else takes the directory meanwhile.
    """
    ours: list[Path] = []
    others: list[Path] = []
    for each in sorted(directory.iterdir()):
        (ours if _NAMES.fullmatch(each.name) else others).append(each)
    last = (TRAINING, LOCK)
    ours.sort(key=lambda each: last.index(each.name) if each.name in last else -1)
    return ours, others


def has_links(path: Path) -> bool:
    """Return whether links are to be expected in what a run's directory has at this path."""
    return path.name in _LINKING
