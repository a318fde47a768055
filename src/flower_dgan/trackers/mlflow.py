"""MLflow: the server of MLFLOW_TRACKING_URI, or else a database and a folder of pictures in the run directory."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient

from flower_dgan.run.outcome_records import FINISHED, Alarm
from flower_dgan.run.settings_file import Settings


class MlFlow:
    """Writes into the experiment ``flower-dgan``."""

    def begin(self, run: Path, settings: Settings) -> None:
        server = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = MlflowClient(server or f"sqlite:///{run}/mlflow.db")
        known = self._client.get_experiment_by_name("flower-dgan")
        # a server has a place for pictures; of a database MLflow takes whatever folder the process was started in
        pictures = None if server else (run.absolute() / "mlartifacts").as_uri()
        experiment = known.experiment_id if known else self._client.create_experiment("flower-dgan", pictures)
        self._run = self._client.create_run(experiment, run_name=run.name).info.run_id
        for name, value in settings.items():
            self._client.log_param(self._run, _name(name), value)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, _name(name), value, step=step)

    def images(self, step: int, files: Mapping[str, Path]) -> None:
        for file in files.values():
            self._client.log_artifact(self._run, str(file), "samples")

    def alarm(self, alarm: Alarm) -> None:
        self._client.set_tag(self._run, _name(f"alarm {alarm.round} {alarm.name} {alarm.site}"), alarm.in_words)

    def end(self, how: str, why: str) -> None:
        self._client.set_tag(self._run, "end", f"{how} {why}".strip())
        self._client.set_terminated(self._run, "FINISHED" if how == FINISHED else "FAILED")


def _name(name: str) -> str:
    return re.sub(r"[^\w\-. /]", "_", name).strip("/ ")


TRACKER = MlFlow
