"""What a TSTR table is made of: single results, and their mean and spread over the seeds of a row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import fmean, stdev

from flower_dgan.metrics import shown

REFERENCE_ROW = "Real-All"
MAIN_ROW = "DGAN"
"""The row of the run's own generator."""


@dataclass(frozen=True)
class TstrResult:
    """One training on the data of a row, tested on real data.

    Attributes
    ----------
    row : str
        What was trained on, such as ``"Real-All"`` or ``"DGAN"``.
    seed : int
        Seed of the training.
    values : Mapping[str, float]
        Figures on the real test pairs, by the name of the metric; see ``flower_dgan.metrics``.
    remark : str
        A sentence on what was true in these pairs; empty where it is plain.
    warning : str
        A sentence on why the figures are no numbers, or say little; empty where they mean what they should.
    """

    row: str
    seed: int
    values: Mapping[str, float]
    remark: str = ""
    warning: str = ""

    def __str__(self) -> str:
        """Return one line: the row, the seed, and the figures by the names of their metrics."""
        values = ", ".join(f"{name} {shown(name, value)}" for name, value in self.values.items())
        return f"{self.row}, seed {self.seed}: {values}"


@dataclass(frozen=True)
class TstrSummary:
    """The results of one row over its seeds.

    Attributes
    ----------
    row : str
        What was trained on.
    seeds : int
        Number of trainings, at least 1.
    means : Mapping[str, float]
        Mean figures, by the name of the metric.
    deviations : Mapping[str, float]
        Sample standard deviations (divisor ``seeds`` - 1); empty for one seed.
    ratio : float or None
        The mean of the main metric, the first that there is, over that of ``Real-All``; None without either, or if that
        is 0.
    """

    row: str
    seeds: int
    means: Mapping[str, float]
    deviations: Mapping[str, float]
    ratio: float | None

    def shown(self, metric: str) -> str:
        """Return mean ± standard deviation of a metric, the mean alone for one seed, or "-" if it was not measured."""
        if metric not in self.means:
            return "-"
        return shown(metric, self.means[metric], self.deviations.get(metric))


def summarize(results: Iterable[TstrResult]) -> tuple[TstrSummary, ...]:
    """Summarize results row by row, in the order in which the rows first appear.

    Parameters
    ----------
    results : Iterable[TstrResult]
        Results of any number of rows and seeds; those of one row have the same metrics.

    Returns
    -------
    tuple of TstrSummary
        One a row; empty for no results.
    """
    found = list(results)
    rows: dict[str, list[TstrResult]] = {}
    for result in found:
        rows.setdefault(result.row, []).append(result)
    main = next(iter(metrics_of(found)), "")
    reference = [result.values[main] for result in rows.get(REFERENCE_ROW, ()) if main in result.values]
    whole = fmean(reference) if reference else 0.0
    summaries = []
    for row, trainings in rows.items():
        values = {name: [each.values[name] for each in trainings] for name in trainings[0].values}
        means = {name: fmean(each) for name, each in values.items()}
        summaries.append(
            TstrSummary(
                row=row,
                seeds=len(trainings),
                means=means,
                deviations={name: deviation(each) for name, each in values.items()} if len(trainings) > 1 else {},
                ratio=means[main] / whole if whole and main in means else None,
            )
        )
    return tuple(summaries)


def deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation of two numbers or more (divisor n - 1); NaN where one is not finite."""
    return stdev(values) if all(map(isfinite, values)) else nan


def metrics_of(results: Iterable[TstrResult]) -> tuple[str, ...]:
    """Return the names of the metrics of results, in the order in which they first appear."""
    return tuple(dict.fromkeys(name for result in results for name in result.values))
