"""The jobs of a sweep: side by side, each once, with one line of progress."""

import fcntl
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, filter_overrides, run_job
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from flower_dgan.errors import ConfigError
from flower_dgan.report.sweep_jobs import JobRecord, read_record, write_record
from flower_dgan.sweep.processes import Outcome, Processes
from flower_dgan.sweep.progress_line import SweepProgress

_TICK_SECONDS = 1.0
_LOG = "log.txt"
_THREADS = "threads="


class FailedJobError(CompactHydraException):
    """A job of a sweep failed."""


def launch(
    context: HydraContext,
    task: TaskFunction,
    settings: DictConfig,
    workers: int | None,
    job_overrides: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Run the jobs of a batch.

    A job that finished in an earlier start, by the record in its directory, is not run again. One that fails does not
    stop the others.

    Parameters
    ----------
    context, task, settings
        What Hydra gives a launcher.
    workers : int or None
        Jobs at once; None for :func:`default_workers`.
    job_overrides : sequence of (sequence of str)
        Overrides of each job.
    first : int
        Number of the first one.

    Returns
    -------
    list of JobReturn
        In the same order; the value of a failed job raises an error that says why.

    Raises
    ------
    ConfigError
        If another sweep works in the same directory, or a job that finished there had other settings.
    """
    sweep_directory = Path(str(settings.hydra.sweep.dir)).resolve()
    waiting = deque(enumerate(job_overrides))
    outcomes: dict[int, Outcome] = {}
    directories: dict[int, Path] = {}
    processes = Processes(workers or default_workers(settings, job_overrides))
    with _in_use(sweep_directory), SweepProgress(len(job_overrides)) as progress:
        try:
            while waiting or len(processes):
                while waiting and not processes.full:
                    index, overrides = waiting.popleft()
                    config = _compose(context, settings, overrides, first + index)
                    directories[index] = sweep_directory / str(OmegaConf.select(config, "hydra.sweep.subdir"))
                    if known := _known(directories[index], overrides):
                        outcomes[index] = known
                    else:
                        work = partial(_run, context, task, config)
                        processes.start(index, work, directories[index] / _LOG)
                for index, outcome in processes.ended(_TICK_SECONDS) if len(processes) else ():
                    outcomes[index] = outcome
                    record = JobRecord(
                        first + index, tuple(job_overrides[index]), outcome.seconds, outcome.value, outcome.error
                    )
                    write_record(directories[index], record)
                    progress.job_ended(directories[index].name, outcome)
                progress.show(outcomes.values(), processes.seconds(), len(waiting), processes.workers)
        finally:
            processes.stop()
    return [_job_return(overrides, outcomes[index]) for index, overrides in enumerate(job_overrides)]


def default_workers(settings: DictConfig, job_overrides: Sequence[Sequence[str]]) -> int:
    """Return how many jobs the cores have threads for, by the largest ``threads`` of any; null is all cores."""
    cores = len(os.sched_getaffinity(0))
    swept = {each.removeprefix(_THREADS) for job in job_overrides for each in job if each.startswith(_THREADS)}
    threads = [int(each) if each.isdecimal() else cores for each in swept] or [
        OmegaConf.select(settings, "threads") or cores
    ]
    return max(1, cores // max(threads))


def _compose(context: HydraContext, settings: DictConfig, overrides: Sequence[str], number: int) -> DictConfig:
    config = context.config_loader.load_sweep_config(settings, list(overrides))
    with open_dict(config):
        config.hydra.job.id, config.hydra.job.num = str(number), number
    return config


def _known(directory: Path, overrides: Sequence[str]) -> Outcome | None:
    """Return the outcome of a job that finished in an earlier start, None for one that is to run."""
    record = read_record(directory)
    if record is None or record.error is not None:
        return None
    if record.overrides == tuple(overrides):
        return Outcome(record.seconds, record.value)
    raise ConfigError(
        f"{directory} holds a run with other settings: {' '.join(record.overrides)}, and not {' '.join(overrides)}. "
        "Choose another hydra.sweep.dir."
    )


def _run(context: HydraContext, task: TaskFunction, config: DictConfig) -> object:
    """Run one job as Hydra does, in its process."""
    done = run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    return done.return_value


def _job_return(overrides: Sequence[str], outcome: Outcome) -> JobReturn:
    done = JobReturn(overrides=filter_overrides(overrides))
    done.status = JobStatus.COMPLETED if outcome.error is None else JobStatus.FAILED
    done.return_value = outcome.value if outcome.error is None else FailedJobError(outcome.error)
    return done


@contextmanager
def _in_use(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"Another sweep still works in {directory}: stop it, or wait.") from error
        yield
