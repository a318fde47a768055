"""One run of a sweep: Flower's strategy, apps and messages in one process, without Ray and without a start-up."""

import hashlib
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import platformdirs
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.errors import ConfigError
from flower_dgan.federation.job import run_job
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.names import folded, is_reserved
from flower_dgan.node.node import simulated_clients
from flower_dgan.printable import printable
from flower_dgan.private import private_directory
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.tasks import find_task
from flower_dgan.tasks.results import MAIN_ROW

_SWEEP = "sweep."
_ODD = re.compile(r'[<>:"|?*\\]')  # no name on Windows' file systems has them
_LONGEST_NAME = 150  # bytes, without the hash


def run(settings: DictConfig) -> float | None:
    """Run one job of a sweep in the directory that Hydra gives it; go on there with what an earlier start began.

    Parameters
    ----------
    settings : DictConfig
        As Hydra composed them.

    Returns
    -------
    float or None
        See :func:`objective`.

    Raises
    ------
    DganError
        Says what was wrong and what to do.
    """
    hydra = HydraConfig.get()
    GlobalHydra.instance().clear()  # server and clients compose their configuration themselves, as in any run
    overrides = run_overrides(hydra.overrides.task)
    config, clients = check(overrides, settings.sweep.clients)
    directory = Path(hydra.runtime.output_dir)
    if RunDirectory.is_begun(directory):
        config = replace(config, resume=str(directory))
    else:
        shutil.rmtree(directory / "samples", ignore_errors=True)  # of a start that died before it began
        private_directory(directory)  # Hydra made it for everybody
        config = replace(config, output=replace(config.output, directory=str(directory)))
    grid = InProcessGrid(app, simulated_contexts(clients, overrides))
    path = run_job(grid, config, int(hydra.job.num)).path
    return objective(read_metrics(path), config)


def objective(metrics: RunMetrics, config: Config) -> float | None:
    """Return what an optimizer may choose a run by: the main metric, the first of ``downstream.metrics``.

    With ``selection.checks`` it is that of the generator that was taken, on the images that the clients hold out for
    validation, so that the test images have no say in what is chosen; None where no client gave a score. Else it is
    that of the row ``DGAN`` on the test images, its mean over the trainings, and None without that row: what is chosen
    by it flatters itself. The metric says which end is best.
    """
    if config.selection.checks:
        scores = {each.round: each.score for each in metrics.validations}
        return scores.get(metrics.selection.taken) if metrics.selection else None
    main = config.downstream.metrics[:1]
    found = [each.values[name] for each in metrics.tstr if each.row == MAIN_ROW for name in main]
    return fmean(found) if found else None


def run_overrides(overrides: Sequence[str]) -> str:
    """Return the overrides of a run, as ``flwr run`` takes them, from those of a job of a sweep."""
    return shlex.join(override for override in overrides if not override.startswith(_SWEEP))


def check(overrides: str, clients: int | None) -> tuple[Config, int]:
    """Find what is wrong with a job before any work begins, and return its configuration and number of clients.

    Parameters
    ----------
    overrides : str
        As ``flwr run`` takes them.
    clients : int or None
        Simulated clients; None for the number that the partition fixes.

    Raises
    ------
    DganError
        Says what was wrong and what to do.
    """
    config = resolve(overrides)
    if config.resume is not None or config.output.directory is not None:
        raise ConfigError(
            "The runs of a sweep have directories of their own, and go on by themselves: leave resume and "
            "output.directory away, and set hydra.sweep.dir."
        )
    if config.downstream.seeds or config.selection.checks:
        find_task(config.downstream.task).check_model(config.downstream, config.data.image_size)
    if not (clients is None or type(clients) is int):
        raise ConfigError(f"sweep.clients={clients!r} is no number of clients.")
    number = simulated_clients(config, clients)
    if number is None:
        raise ConfigError(f"partition={config.partition.name} takes any number of clients: set sweep.clients=<number>.")
    return config, number


def job_directory(overrides: str) -> str:
    """Return the name of a job's directory: its overrides, without path separators and blanks, and not too long.

    Where it does not hold all that they say, as of ``data.root=a/b`` and ``data.root=a_b``, or where a file system may
    take two names for the same, as with small and capital letters or a dot at the end, digits of their hash tell it
    from the others.
    """
    words = _ODD.sub("_", re.sub(r"[/\s]+", "_", overrides)) or "job"
    name = printable(words, None).encode()[:_LONGEST_NAME].decode(errors="ignore")
    plain = name == folded(name) == name.rstrip(" .")
    if name in (overrides, "job") and plain and not is_reserved(name) and not _ODD.search(name):
        return name
    return f"{name}-{hashlib.sha256(overrides.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


# For conf/sweep.yaml, here so that a process that another launcher starts has them as well.
OmegaConf.register_new_resolver("job_directory", job_directory, replace=True)
OmegaConf.register_new_resolver(
    "user_data_directory", lambda: str(platformdirs.user_data_path("flower-dgan")), replace=True
)
