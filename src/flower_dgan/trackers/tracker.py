"""What a tracker of experiments is told of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from flower_dgan.run.outcome_records import Alarm
from flower_dgan.run.settings_file import Settings


class Tracker(Protocol):
    """Shows runs elsewhere. All is called in one thread, and what it raises ends it, and never a training."""

    def begin(self, run: Path, settings: Settings) -> None:
        """Begin with the run of a directory, whose name is the run's; a training that goes on begins again."""
        ...

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Show numbers by their names (``loss/generator/clinic-a``) after a round; not all are finite."""
        ...

    def images(self, step: int, files: Mapping[str, Path]) -> None:
        """Show pictures, PNG files by their names, after a round."""
        ...

    def alarm(self, alarm: Alarm) -> None:
        """Show an alarm that begins or ends."""
        ...

    def end(self, how: str, why: str) -> None:
        """End: finished, failed or stopped, and why."""
        ...
