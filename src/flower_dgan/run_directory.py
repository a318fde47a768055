"""What a run writes: one directory with configuration, metrics, samples, generator and synthetic dataset."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from flower_dgan.config import Config
from flower_dgan.errors import ConfigError
from flower_dgan.resolve import to_yaml


def label_map_cache() -> Path:
    """Return the directory where the server keeps label maps by content hash, under the user's cache directory."""
    return platformdirs.user_cache_path("flower-dgan") / "label-maps"


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run.

    Attributes
    ----------
    path : Path
        Absolute.
    """

    path: Path

    @classmethod
    def create(cls, config: Config, run_id: int) -> "RunDirectory":
        """Make the directory and write the resolved configuration into it.

        Parameters
        ----------
        config : Config
            ``output.directory`` names the directory; None makes ``runs/<time>-<run id>`` under the user's data
            directory.
        run_id : int
            Flower's id of the run.

        Raises
        ------
        ConfigError
            If the directory exists and is not empty, or cannot be made.
        """
        if config.output.directory is None:
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{run_id}"
            path = platformdirs.user_data_path("flower-dgan") / "runs" / name
        else:
            path = Path(config.output.directory).expanduser()
        path = path.resolve()
        try:
            (path / "samples").mkdir(parents=True, exist_ok=False)
            (path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
        except FileExistsError as error:
            raise ConfigError(f"{path} holds another run: choose another output.directory.") from error
        except OSError as error:
            raise ConfigError(f"The run directory {path} cannot be made: {error}. Set output.directory.") from error
        return cls(path)

    @property
    def generator(self) -> Path:
        """File of the generator."""
        return self.path / "generator.safetensors"

    @property
    def synthetic(self) -> Path:
        """Directory of the synthetic dataset."""
        return self.path / "synthetic"

    def sample(self, round_number: int) -> Path:
        """File of the sample grid of a round."""
        return self.path / "samples" / f"round-{round_number:05d}.png"

    def measure(self, kind: str, **values: object) -> None:
        """Append one measurement to ``metrics.jsonl``; it is on disk when this returns."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **values}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the wall-clock time of a stage."""
        start = time.monotonic()
        yield
        self.measure("stage", name=name, seconds=time.monotonic() - start)
