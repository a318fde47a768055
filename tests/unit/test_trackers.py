"""Trackers: what they are told, beside a run and afterwards; and the real packages, where they are installed."""

import importlib.util
import json
import logging
import runpy
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan import trackers
from flower_dgan.cli.main import app
from flower_dgan.errors import ConfigError
from flower_dgan.resolve import resolve
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.outcome_records import Alarm, End
from flower_dgan.run.round_records import ClientRound, Round
from flower_dgan.run.status_records import Begin, Look, SampleFile, Samples
from flower_dgan.trackers import open_tracker, tracker_names
from flower_dgan.trackers.feed import Feed, export
from flower_dgan.trackers.running import tracked

BEGIN = Begin(1, "0.1.0", 2, 0, "dgan", "bce", "moved", "images", 1.386, 0.0, 8, 1, 30.0)
ALARM = Alarm("D has won", "a/b", 1, 2, True, 0.01, "discriminator loss 0.01", "a lower rate")


def a_round(number: int, loss: float) -> Round:
    clients = {"a/b": ClientRound(loss, 2 * loss, 1.0, 1.0, 100, 200, 0, 0.5, score=-1.5)}
    return Round(number, {"generator": 1.5}, 8, clients, {"c": "no reply in time"}, 0, (), {})


class Noted:
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begin(self, run: Path, settings: Mapping[str, Any]) -> None:
        self.told.append(("begin", run.name, dict(settings)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append(("scalars", step, dict(values)))

    def images(self, step: int, files: Mapping[str, Path]) -> None:
        self.told.append(("images", step, {name: file.is_file() for name, file in files.items()}))

    def alarm(self, alarm: Alarm) -> None:
        self.told.append(("alarm", alarm))

    def end(self, how: str, why: str) -> None:
        self.told.append(("end", how, why))


def write_run(directory: Path) -> Path:
    (directory / "samples").mkdir(parents=True)
    (directory / "config.yaml").write_text("seed: 3\nalgorithm:\n  name: dgan\n  merge: [a, b]\nresume: null\n")
    Image.fromarray(np.full((4, 4), 9, np.uint8)).save(directory / "samples" / "grid.png")
    log = EventLog(directory)
    files = (SampleFile(0, "a/b", "draw 1", "samples/grid.png"),)
    look = Look(1.0, 0.0, (9.0,), (0.0,))
    for record in (
        BEGIN,
        a_round(1, 0.5),
        a_round(2, 0.25),
        Samples(2, "samples/grid.png", files, {"a/b": look}),
        Samples(3, "samples/gone.png", files, {}),
        ALARM,
    ):
        log.write(record)
    log.measure("tstr", {"row": "DGAN", "seed": 0, "dice": 0.75})
    log.write(End("failed", "the disk is full", 1))
    return directory


def expected(name: str) -> list[tuple[Any, ...]]:
    def of_round(number: int, loss: float) -> tuple[Any, ...]:
        figures = {
            "loss/generator/a/b": 2 * loss,
            "loss/discriminator/a/b": loss,
            "score/a/b": -1.5,
            "weight/a/b": 0.5,
            "bytes/sent/a/b": 100.0,
            "bytes/received/a/b": 200.0,
            "seconds/generator": 1.5,
            "refused answers": 1.0,
        }
        return "scalars", number, figures

    settings = {"seed": 3, "algorithm.name": "dgan", "algorithm.merge": "['a', 'b']", "resume": "None"}
    return [
        ("begin", name, settings),
        of_round(1, 0.5),
        of_round(2, 0.25),
        ("images", 2, {"samples": True}),
        ("alarm", ALARM),
        ("scalars", 2, {"DGAN/dice/seed 0": 0.75}),
        ("end", "failed", "the disk is full"),
    ]


def test_a_tracker_is_told_all_of_a_run_that_has_been(tmp_path: Path) -> None:
    noted = Noted()
    assert export(write_run(tmp_path / "run"), noted) == 2
    assert noted.told == expected("run")


def test_a_tracker_beside_a_run_is_told_the_same(tmp_path: Path) -> None:
    before, noted = write_run(tmp_path / "before"), Noted()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_bytes((before / "config.yaml").read_bytes())
    (tmp_path / "run" / "samples").mkdir()
    (tmp_path / "run" / "samples" / "grid.png").write_bytes((before / "samples" / "grid.png").read_bytes())
    log = EventLog(tmp_path / "run")

    def job() -> None:
        with tracked(log, [("noted", noted)]):
            for line in (before / "metrics.jsonl").read_text().splitlines()[:-1]:
                fields = json.loads(line)
                log.measure(fields.pop("kind"), fields)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        job()
    assert noted.told == [*expected("run")[:-1], ("end", "failed", "OSError: the disk is full")]


def test_a_tracker_that_fails_is_named_once_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Noted):
        def scalars(self, step: int, values: Mapping[str, float]) -> None:
            super().scalars(step, values)
            raise ConnectionError("no route to host")

    class Hanging(Noted):
        def scalars(self, step: int, values: Mapping[str, float]) -> None:
            over.wait()

    over, broken, noted = threading.Event(), Broken(), Noted()
    log = EventLog(tmp_path)
    with caplog.at_level(logging.WARNING, logger="flwr"):
        with tracked(log, [("broken", broken), ("hanging", Hanging()), ("noted", noted)], patience=0.2):
            log.write(BEGIN)
            for number in (1, 2, 3):
                log.write(a_round(number, 0.5))
        over.set()
    assert [told[0] for told in broken.told] == ["begin", "scalars"]
    assert [told[0] for told in noted.told] == ["begin", "scalars", "scalars", "scalars", "end"]
    said = [record.getMessage() for record in caplog.records]
    assert [("broken" in each, "hanging" in each) for each in said] == [(True, False), (False, True)]
    assert "no route to host" in said[0]


def test_settings_are_numbers_where_databases_hold_them(tmp_path: Path) -> None:
    """The largest whole number of 64 bits with a sign is 2 to the power of 63, less one; aliases are not read."""
    run, noted = write_run(tmp_path / "run"), Noted()
    (run / "config.yaml").write_text(f"a: {2**63 - 1}\nb: {2**63}\nc: true\nd: .5\n")
    export(run, noted)
    assert noted.told[0] == ("begin", "run", {"a": 2**63 - 1, "b": str(2**63), "c": True, "d": 0.5})
    (run / "config.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    export(run, noted)
    assert noted.told[-7] == ("begin", "run", {})


def test_a_run_without_a_beginning_is_told_from_its_first_round_on(tmp_path: Path) -> None:
    log, noted = EventLog(tmp_path), Noted()
    log.listeners.append(Feed(noted, tmp_path).tell)
    log.measure("tide", {"high": 2})
    log.write(a_round(1, 0.5))
    assert [told[:2] for told in noted.told] == [("begin", tmp_path.name), ("scalars", 1)]


def test_names_and_import_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracker_names() == ("mlflow", "tensorboard", "trackio", "wandb")
    assert isinstance(open_tracker(f"{__name__}:Noted"), Noted)
    with pytest.raises(ConfigError, match=r"Unknown tracker in output\.trackers 'tensorbord'\. Did you mean"):
        open_tracker("tensorbord")
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.delitem(sys.modules, "flower_dgan.trackers.tensorboard", raising=False)
    with pytest.raises(ConfigError, match=r"output\.trackers=tensorboard needs the package tensorboardX.*pip install"):
        open_tracker("tensorboard")


def test_settings_name_trackers() -> None:
    assert resolve("output.trackers=[tensorboard]").output.trackers == ("tensorboard",)
    assert resolve("").output.trackers == ()


def test_a_package_that_breaks_at_its_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that was built for another numpy, or protobuf, does."""
    (tmp_path / "tensorboardX.py").write_text("raise AttributeError('module numpy has no attribute bool')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorboardX", raising=False)
    monkeypatch.delitem(sys.modules, "flower_dgan.trackers.tensorboard", raising=False)
    with pytest.raises(ConfigError, match=r"tensorboardX, which is installed and broken \(.*no attribute bool"):
        open_tracker("tensorboard")


def test_adapters_are_short() -> None:
    for name in tracker_names():
        file = Path(str(trackers.__file__)).with_name(f"{name}.py")
        code = [
            line for line in file.read_text().splitlines() if line.strip() and not line.startswith(("import", "from"))
        ]
        assert len(code) <= 40, name


def real(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def test_tensorboard_has_the_numbers_the_grid_and_the_alarm(tmp_path: Path) -> None:
    real("tensorboardX")
    run = write_run(tmp_path / "run")
    result = CliRunner().invoke(app, ["export", str(run), "--to", "tensorboard"])
    assert result.exit_code == 0, result.output
    assert "2 rounds of" in result.output
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401  of the same format

    (file,) = (run / "tensorboard").iterdir()
    found: dict[str, list[tuple[int, float]]] = {}
    data, place = file.read_bytes(), 0
    while place < len(data):  # TFRecord: length (8), its checksum (4), content, its checksum (4)
        size = int.from_bytes(data[place : place + 8], "little")
        event = Event.FromString(data[place + 12 : place + 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        place += 16 + size
    assert found["loss/discriminator/a/b"] == [(1, 0.5), (2, 0.25)]
    assert [step for step, _ in found["samples"]] == [2]
    assert [step for step, _ in found["alarms/text_summary"]] == [2]


def test_wandb_writes_its_files_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = write_run(tmp_path / "run")
    assert export(run, open_tracker("wandb")) == 2
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    for _ in range(600):  # wandb's own process writes it soon after the end
        if b"loss/discriminator/a/b" in file.read_bytes():
            break
        time.sleep(0.1)
    assert b"loss/discriminator/a/b" in file.read_bytes()
    assert list(run.glob("wandb/offline-run-*/files/media/images/*.png"))


def test_mlflow_has_the_numbers_in_a_database_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run")
    assert export(run, open_tracker("mlflow")) == 2
    with sqlite3.connect(run / "mlflow.db") as database:
        rows = database.execute("select step, value from metrics where key = 'loss/discriminator/a/b' order by step")
        assert rows.fetchall() == [(1, 0.5), (2, 0.25)]
        assert database.execute("select status from runs").fetchall() == [("FAILED",)]
    assert len(list((run / "mlartifacts").rglob("*.png"))) == 1
    assert not list(tmp_path.glob("mlruns/**/*.png")), "none goes where it was started"


def test_mlflow_is_told_to_keep_pictures_in_the_run_unless_a_server_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package: with what its client takes."""
    begun: list[tuple[str, str | None]] = []

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            self.place = tracking_uri

        def get_experiment_by_name(self, name: str) -> None:
            return None

        def create_experiment(self, name: str, artifact_location: str | None = None) -> str:
            begun.append((self.place, artifact_location))
            return "1"

        def create_run(self, experiment_id: str, *, run_name: str) -> SimpleNamespace:
            return SimpleNamespace(info=SimpleNamespace(run_id=experiment_id))

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=Client))
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path(str(Path(str(trackers.__file__)).with_name("mlflow.py")))["TRACKER"]
    for server in ("", "http://127.0.0.1:1"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        made().begin(Path("run"), {})
    own = ("sqlite:///run/mlflow.db", f"file://{tmp_path}/run/mlartifacts")
    assert begun == [own, ("http://127.0.0.1:1", None)]


def test_trackio_has_the_numbers_in_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    assert export(write_run(tmp_path / "run"), open_tracker("trackio")) == 2
    kept = b"".join(file.read_bytes() for file in (tmp_path / "trackio").rglob("*") if file.is_file())
    assert b"loss/discriminator/a/b" in kept
