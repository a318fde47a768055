"""TensorBoard's files, by tensorboardX: in ``tensorboard/`` of the run directory."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from flower_dgan.run.outcome_records import Alarm
from flower_dgan.run.settings_file import Settings


class TensorBoard:
    """Writes files that ``tensorboard --logdir`` reads."""

    def begin(self, run: Path, settings: Settings) -> None:
        self._writer = SummaryWriter(str(run / "tensorboard"))
        self._writer.add_text("settings", f"```\n{json.dumps(settings, indent=1)}\n```")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def images(self, step: int, files: Mapping[str, Path]) -> None:
        for name, file in files.items():
            self._writer.add_image(name, np.asarray(Image.open(file).convert("RGB")), step, dataformats="HWC")

    def alarm(self, alarm: Alarm) -> None:
        self._writer.add_text("alarms", alarm.in_words, alarm.round)

    def end(self, how: str, why: str) -> None:
        self._writer.add_text("end", f"{how} {why}")
        self._writer.close()


TRACKER = TensorBoard
