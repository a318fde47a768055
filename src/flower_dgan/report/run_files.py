"""What a run writes into its directory, by name: whatever else is there is somebody else's."""

import re
from pathlib import Path

TRAINING = "training.json"
"""The file by which a directory is a run's."""

_NAMES = re.compile(
    r"training\.json|config\.yaml|metrics\.jsonl|members\.json|label-maps\.sha256|lock|report\.md|patients\.csv"
    r"|generator(_best)?\.safetensors|label_maps\.npz|(curves|gains)\.png|samples|checkpoints|candidates|synthetic"
    r"|[0-9a-z_-]+\.partial"
)


def is_run(directory: Path) -> bool:
    """Return whether a directory is a run's."""
    return (directory / TRAINING).is_file()


def files_of_run(directory: Path) -> tuple[list[Path], list[Path]]:
    """Return what in a run's directory the run wrote, and what it did not, each by name."""
    ours: list[Path] = []
    others: list[Path] = []
    for each in sorted(directory.iterdir()):
        (ours if _NAMES.fullmatch(each.name) else others).append(each)
    return ours, others
