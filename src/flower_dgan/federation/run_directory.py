"""What a run writes: one directory with configuration, metrics, checkpoints, samples, generator, synthetic dataset."""

import fcntl
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import platformdirs

from flower_dgan.config import Config
from flower_dgan.data.splits import some
from flower_dgan.errors import ConfigError, StorageError, one_line
from flower_dgan.federation.checkpoint import Checkpoint, Checkpoints
from flower_dgan.federation.claims import Claims
from flower_dgan.federation.run_identity import (
    CONFIG,
    TRAINING,
    read_training,
    settings_of_run,
    settings_of_training,
    write_training,
)
from flower_dgan.private import private_directory
from flower_dgan.resolve import differences, to_yaml
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.event_reader import read_events, read_lines
from flower_dgan.run.events import METRICS
from flower_dgan.run.outcome_records import FAILED, STOPPED, Stage
from flower_dgan.run.pulse import Pulse
from flower_dgan.run.status_records import StageBegin
from flower_dgan.steps import steps_told_to
from flower_dgan.tasks.patient_scores import FILE as SCORES
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.protocol import Training

_FOREIGN = "label-maps.sha256"
GENERATORS = "generators"
"""The folder of those that are kept while a training goes on, by the round in their names."""
_STAY = ("begin", "classes", "device", "end", "stage", "stage-begin")
"""Kinds of events that stay when a training goes on: they are of attempts, not of rounds."""
_DATED = ("round", "membership", "alarm", "samples", "generator", "ledger")
"""Those that stay if their round does."""
_OF_A_SWEEP = ".hydra"  # what Hydra makes in the directory of each job


def label_map_cache() -> Path:
    """Return the directory where the server keeps label maps by content hash, under the user's cache directory."""
    return platformdirs.user_cache_path("flower-dgan") / "label-maps"


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one training, whose later attempts use it too.

    Attributes
    ----------
    path : Path
        Absolute.
    training : Training
        The training, and which attempt at it this is.
    """

    path: Path
    training: Training

    @classmethod
    def open(cls, config: Config, run_id: int) -> "RunDirectory":
        """Make the directory of a new training, or take that of the one that goes on.

        Only the user who runs the server may enter it where it is new: samples and synthetic masks show label maps of
        the clients. One that was there before keeps its mode, and what shows them is private inside.

        Parameters
        ----------
        config : Config
            ``resume`` names the directory of the training that goes on. For a new one ``output.directory`` does; None
            makes ``runs/<time>-<run id>`` under the user's data directory.
        run_id : int
            Flower's id of the run.

        Raises
        ------
        ConfigError, StorageError
            If a new directory is not empty or cannot be made; if that of the training that is to go on is none, is
            damaged, or was started with other settings.
        """
        return cls._create(config, run_id) if config.resume is None else cls._resume(config, config.resume)

    @classmethod
    def _create(cls, config: Config, run_id: int) -> "RunDirectory":
        if config.output.directory is None:
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{run_id}"
            path = platformdirs.user_data_path("flower-dgan") / "runs" / name
        else:
            path = Path(config.output.directory).expanduser()
        path = path.resolve()
        training = Training(secrets.token_hex(8), 1)
        try:
            if path.exists():
                _require_none_other(path)
            else:
                private_directory(path)
            (path / "samples").mkdir(mode=0o700)
            with _nothing_left(path):
                with whole_file(path / CONFIG) as partial:
                    partial.write_text(to_yaml(config), encoding="utf-8")
                write_training(path, training)
        except OSError as error:
            raise ConfigError(
                f"The run directory {path} cannot be made: {error.strerror}. Set output.directory to a new folder, "
                "where this user may write."
            ) from error
        return cls(path, training)

    @classmethod
    def _resume(cls, config: Config, directory: str) -> "RunDirectory":
        path = Path(directory).expanduser().resolve()
        if not cls.is_begun(path):
            raise ConfigError(f"resume={path} is not the directory of a run: there is no {TRAINING} in it.")
        if config.output.directory is not None and Path(config.output.directory).expanduser().resolve() != path:
            raise ConfigError(
                f"A training goes on in its own directory: leave output.directory away, or make it {path}."
            )
        before = settings_of_run(path)
        if changed := differences(settings_of_training(before), settings_of_training(config)):
            raise ConfigError(f"{path} was started with other settings: {'; '.join(changed)}. Give them as they were.")
        training = read_training(path)
        training = replace(training, attempt=training.attempt + 1)
        write_training(path, training)
        return cls(path, training)

    @staticmethod
    def is_begun(path: Path) -> bool:
        """Return whether a directory is that of a training, which ``resume`` takes."""
        return (path / TRAINING).is_file()

    @property
    def has_measurements(self) -> bool:
        """Whether anything was measured already."""
        return (self.path / METRICS).is_file()

    @property
    def last_seen(self) -> float | None:
        """When an earlier attempt wrote its last line, in seconds since 1970; None if there is none that says it."""
        times = [event.time for event in read_events(self.path) if event.time is not None]
        return times[-1] if times else None

    @property
    def checkpoints(self) -> Checkpoints:
        """What the server needs to go on after a crash."""
        return Checkpoints(self.path / "checkpoints")

    @property
    def claims(self) -> Claims:
        """Whose the names of the training's clients are."""
        return Claims(self.path / "members.json")

    @property
    def synthetic(self) -> Path:
        """Directory of the synthetic dataset."""
        return self.path / "synthetic"

    @cached_property
    def events(self) -> EventLog:
        """What happens in the run, as it is written down."""
        return EventLog(self.path)

    @cached_property
    def pulse(self) -> Pulse:
        """What says now and then that the run lives, and how far its stage is."""
        return Pulse(self.events, self.training.attempt)

    def measure(self, kind: str, **values: object) -> None:
        """Append one measurement to ``metrics.jsonl``; it is on disk when this returns. Raises StorageError."""
        self.events.measure(kind, values)

    def keep_to_label_maps(self, content: str) -> None:
        """Note the content hash of the label maps of ``data.label_maps``, on which every draw depends.

        Raises
        ------
        ConfigError
            If an earlier attempt at the training had others.
        """
        file = self.path / _FOREIGN
        if not file.is_file():
            with whole_file(file) as partial:
                partial.write_text(content, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != content:
            raise ConfigError(
                f"The folder of data.label_maps does not hold what {self.path} was started with: put its files back, "
                "or start a new training."
            )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other processes from working in the directory.

        Raises
        ------
        ConfigError
            If one does.
        """
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"Another process still works in {self.path}: stop its run, or wait.") from error
            yield

    def go_on(self) -> Checkpoint | None:
        """Return where the training goes on, None for its beginning, and forget what was written after it."""
        checkpoint = self.checkpoints.newest(self.training.identity)
        if self.training.attempt > 1:
            self._forget_after(checkpoint.round_number if checkpoint else 0)
            (self.path / SCORES).unlink(missing_ok=True)
            if self.synthetic.is_dir():
                shutil.rmtree(self.synthetic)
        return checkpoint

    def _forget_after(self, round_number: int) -> None:
        """Drop later rounds and all results from ``metrics.jsonl``, and the generators of later rounds."""
        kept = []
        for _, fields in read_lines(self.path) if self.has_measurements else ():
            dated = fields.get("kind") in _DATED
            if fields.get("kind") in _STAY or (dated and fields.get("round", 0) <= round_number):
                kept.append(json.dumps(fields) + "\n")
        with whole_file(self.path / METRICS) as partial:
            partial.write_text("".join(kept), encoding="utf-8")
        for file in (self.path / GENERATORS).glob("*.safetensors"):
            if file.stem.isdecimal() and int(file.stem) > round_number:
                file.unlink(missing_ok=True)

    @contextmanager
    def stage(self, name: str, steps: int = 0) -> Iterator[None]:
        """Write down when a stage begins and ends, and how.

        Parameters
        ----------
        name : str
            What it is called.
        steps : int
            How many steps it has that ``pulse`` counts, so that it can say how long the rest takes; 0 if none.
        """
        start = time.monotonic()
        self.events.write(StageBegin(name, self.training.attempt))
        with self.pulse.stage(name, steps), steps_told_to(self.pulse.step):
            try:
                yield
            except BaseException as error:  # which is raised, whether it can be written down or not
                how = FAILED if isinstance(error, Exception) else STOPPED
                with suppress(StorageError):
                    self.events.write(Stage(name, time.monotonic() - start, how, one_line(error)))
                raise
        self.events.write(Stage(name, time.monotonic() - start))


@contextmanager
def _nothing_left(path: Path) -> Iterator[None]:
    """Delete what a run writes first if the body fails, so that a second start may have the same directory."""
    try:
        yield
    except BaseException:
        for name in (TRAINING, CONFIG):
            (path / name).unlink(missing_ok=True)
        (path / "samples").rmdir()
        raise


def _require_none_other(path: Path) -> None:
    """Raise ConfigError if a directory that is no sweep's holds anything, so that nothing is overwritten or mixed."""
    if RunDirectory.is_begun(path):
        raise ConfigError(f"{path} holds another run: choose another output.directory, or set resume to go on with it.")
    names = [each.name for each in path.iterdir()]
    if names and _OF_A_SWEEP not in names:
        raise ConfigError(f"{path} is not empty (there is {some(names)}): set output.directory to a new folder.")
