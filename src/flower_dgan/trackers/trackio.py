"""Trackio, whose files are on this machine: in TRACKIO_DIR, or where it puts them."""

from collections.abc import Mapping
from pathlib import Path

import trackio

from flower_dgan.run.outcome_records import Alarm
from flower_dgan.run.settings_file import Settings


class Trackio:
    """Writes into the project ``flower-dgan``."""

    def begin(self, run: Path, settings: Settings) -> None:
        trackio.init(project="flower-dgan", name=run.name, config=dict(settings), embed=False)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        trackio.log(dict(values), step=step)

    def images(self, step: int, files: Mapping[str, Path]) -> None:
        trackio.log({name: trackio.Image(str(file), caption=name) for name, file in files.items()}, step=step)

    def alarm(self, alarm: Alarm) -> None:
        trackio.alert(alarm.name, text=alarm.in_words)

    def end(self, how: str, why: str) -> None:
        trackio.finish()


TRACKER = Trackio
