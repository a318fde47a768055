"""Weights & Biases; with WANDB_MODE=offline it writes files, in ``wandb/`` of the run directory."""

from collections.abc import Mapping
from pathlib import Path

import wandb

from flower_dgan.run.outcome_records import FINISHED, Alarm
from flower_dgan.run.settings_file import Settings


class WeightsAndBiases:
    """Sends to the project ``flower-dgan``, or that of WANDB_PROJECT."""

    def begin(self, run: Path, settings: Settings) -> None:
        project = wandb.Settings().project or "flower-dgan"
        self._run = wandb.init(project=project, name=run.name, dir=str(run), config=dict(settings), reinit="create_new")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"round": step, **values})

    def images(self, step: int, files: Mapping[str, Path]) -> None:
        self._run.log({"round": step, **{name: wandb.Image(str(file)) for name, file in files.items()}})

    def alarm(self, alarm: Alarm) -> None:
        self._run.alert(title=alarm.name, text=alarm.in_words)

    def end(self, how: str, why: str) -> None:
        self._run.summary["end"] = f"{how} {why}".strip()
        self._run.finish(exit_code=0 if how == FINISHED else 1)


TRACKER = WeightsAndBiases
