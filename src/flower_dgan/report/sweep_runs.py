"""Reads the runs of a sweep from its directory: what was swept, and what came out."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from flower_dgan.data.plain_values import read_yaml
from flower_dgan.errors import DataError
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.report.sweep_jobs import read_record
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.tasks.results import MAIN_ROW, deviation, metrics_of

SEED = "seed"


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Attributes
    ----------
    directory : Path
        Its run directory.
    settings : Mapping[str, str]
        All its overrides, value by key.
    metrics : RunMetrics or None
        What it measured; None if it has not finished.
    error : str or None
        Why it failed; None if it did not, or has not ended.
    """

    directory: Path
    settings: Mapping[str, str]
    metrics: RunMetrics | None
    error: str | None

    def measured(self, metric: str, row: str) -> list[float]:
        """Return a metric of each training on the data of a row; none where it was not measured."""
        trainings = self.metrics.tstr if self.metrics else ()
        return [each.values[metric] for each in trainings if each.row == row and metric in each.values]

    def generator_seconds(self) -> float:
        """Return the wall-clock seconds of all rounds, those of earlier starts too."""
        return sum(sum(each.seconds.values()) for each in self.metrics.rounds) if self.metrics else 0.0

    def bytes_a_client(self, row: str) -> tuple[float, float] | None:
        """Return what a client sent and received in the training of a row, mean over clients; None where none did."""
        if self.metrics is None:
            return None
        if row == MAIN_ROW:
            sites = {join.site for join in self.metrics.joins}
            totals = {"from node": 0, "to node": 0}
            for each in self.metrics.records:
                totals[each.direction] += each.bytes if each.site in sites else 0
            return (totals["from node"] / len(sites), totals["to node"] / len(sites)) if sites else None
        traffic = [each for each in self.metrics.traffic if each.row == row]
        if not traffic:
            return None
        return fmean(each.bytes_sent for each in traffic), fmean(each.bytes_received for each in traffic)


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep.

    Attributes
    ----------
    axes : tuple of str
        Settings that are not the same in all runs, without the seed, in the order in which they were given.
    runs : tuple of SweptRun
        In the order of the sweep.
    """

    axes: tuple[str, ...]
    runs: tuple[SweptRun, ...]

    @property
    def finished(self) -> tuple[SweptRun, ...]:
        """The runs that ended well."""
        return tuple(run for run in self.runs if run.metrics is not None)

    @property
    def main_metric(self) -> str | None:
        """The first metric that all finished runs with a table have; None where they have none in common."""
        tables = [metrics_of(run.metrics.tstr) for run in self.finished if run.metrics and run.metrics.tstr]
        return next((name for name in tables[0] if all(name in each for each in tables)), None) if tables else None

    def values(self, axis: str) -> list[str]:
        """Return the values of an axis: numbers by size, others in the order of the runs."""
        found = list(dict.fromkeys(value_of(run, axis) for run in self.runs))
        return sorted(found, key=float) if all(number(value) is not None for value in found) else found

    def groups(self) -> Iterator[tuple[tuple[str, ...], list[SweptRun]]]:
        """Return the finished runs that differ by their seed alone, with their values of the axes, in order."""
        found: dict[tuple[str, ...], list[SweptRun]] = {}
        for run in self.finished:
            found.setdefault(tuple(value_of(run, axis) for axis in self.axes), []).append(run)
        order = {axis: self.values(axis) for axis in self.axes}
        yield from sorted(
            found.items(),
            key=lambda group: [order[axis].index(v) for axis, v in zip(self.axes, group[0], strict=True)],
        )

    def common_rows(self) -> list[str]:
        """Return the rows of the TSTR table that all finished runs have."""
        rows = [list(dict.fromkeys(each.row for each in run.metrics.tstr)) for run in self.finished if run.metrics]
        return [row for row in rows[0] if all(row in others for others in rows)] if rows else []


def read_sweep(directory: Path) -> Sweep:
    """Read a sweep directory.

    Raises
    ------
    DataError
        If there is no run in it, or what a run wrote cannot be read.
    """
    found: list[tuple[int, SweptRun]] = []
    for file in sorted(directory.glob("*/.hydra/overrides.yaml")):
        path = file.parent.parent
        record = read_record(path)
        try:
            given = read_yaml(file)
            if not isinstance(given, list):
                raise ValueError("it holds no list of settings")
            settings = dict(str(each).lstrip("+").split("=", 1) for each in given)
        except (OSError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{file} cannot be read: {reason}. Delete {path}, and start the sweep again.") from error
        # launchers of others leave no record; the report is what a run writes last
        finished = record.error is None if record else (path / "report.md").is_file()
        metrics = read_metrics(path) if finished else None
        number = record.number if record else len(found) + 10**6
        found.append((number, SweptRun(path, settings, metrics, record.error if record else None)))
    if not found:
        raise DataError(f"There is no run in {directory}: name the directory of a sweep.")
    runs = tuple(run for _, run in sorted(found, key=lambda each: each[0]))
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    axes = tuple(key for key in keys if key != SEED and len({value_of(run, key) for run in runs}) > 1)
    return Sweep(axes, runs)


def value_of(run: SweptRun, key: str) -> str:
    """Return the value that a run was given for a setting, ``default`` for none."""
    return run.settings.get(key, "default")


def number(text: str) -> float | None:
    """Return the finite number that a value is, None for other values."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def mean_and_spread(runs: Iterable[list[float]]) -> tuple[float, float | None] | None:
    """Return mean and sample standard deviation over runs of the mean over each run's trainings.

    Of one run alone the deviation is that of its trainings; None for one training. The whole is None without any.
    """
    trainings = [each for each in runs if each]
    if not trainings:
        return None
    values = [fmean(each) for each in trainings] if len(trainings) > 1 else trainings[0]
    return fmean(values), deviation(values) if len(values) > 1 else None
