"""What a TSTR table is made of: single results, and their mean and spread over the seeds of a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from types import MappingProxyType

REFERENCE_ROW = "Real-All"
TITLES = MappingProxyType(
    {"dice": "Dice", "iou": "IoU", "hd95": "HD95 (pixels)", "object-dice": "object Dice", "aji": "AJI"}
)
OBJECTS = MappingProxyType(
    {
        "instances": "True objects are those numbered in instances/, those of a prediction its connected components.",
        "components": "Objects are connected components, of the true masks as of the predicted ones.",
    }
)


@dataclass(frozen=True)
class TstrResult:
    """One training on the data of a row, tested on real data.

    Attributes
    ----------
    row : str
        What was trained on, such as ``"Real-All"`` or ``"DGAN"``.
    seed : int
        Seed of the training.
    scores : Mapping[str, float]
        Scores on the real test pairs, by the name of the metric; see ``flower_dgan.evaluation.scoring``.
    objects : str
        What the true objects were: ``"instances"`` or ``"components"``; empty where no metric is about objects.
    """

    row: str
    seed: int
    scores: Mapping[str, float]
    objects: str = ""

    def __str__(self) -> str:
        """Return one line, such as ``DGAN, seed 0: dice 0.812, iou 0.683``."""
        return f"{self.row}, seed {self.seed}: " + ", ".join(f"{name} {x:.3f}" for name, x in self.scores.items())


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
        Mean scores, by the name of the metric.
    deviations : Mapping[str, float]
        Sample standard deviations (divisor ``seeds`` - 1); empty for one seed.
    dice_ratio : float or None
        Mean Dice over the mean Dice of ``Real-All``; None without that row or Dice, or if its mean is 0.
    """

    row: str
    seeds: int
    means: Mapping[str, float]
    deviations: Mapping[str, float]
    dice_ratio: float | None

    def shown(self, metric: str) -> str:
        """Return mean ± standard deviation of a metric, the mean alone for one seed, or "-" if it was not measured."""
        if metric not in self.means:
            return "-"
        return spread(self.means[metric], self.deviations.get(metric))


def spread(mean: float, deviation: float | None) -> str:
    """Write a mean with three decimals, and its standard deviation if there is one."""
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"


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
    rows: dict[str, list[TstrResult]] = {}
    for result in results:
        rows.setdefault(result.row, []).append(result)
    reference = [result.scores["dice"] for result in rows.get(REFERENCE_ROW, ()) if "dice" in result.scores]
    whole = fmean(reference) if reference else 0.0
    summaries = []
    for row, trainings in rows.items():
        values = {name: [each.scores[name] for each in trainings] for name in trainings[0].scores}
        means = {name: fmean(scores) for name, scores in values.items()}
        summaries.append(
            TstrSummary(
                row=row,
                seeds=len(trainings),
                means=means,
                deviations={name: stdev(scores) for name, scores in values.items()} if len(trainings) > 1 else {},
                dice_ratio=means["dice"] / whole if whole and "dice" in means else None,
            )
        )
    return tuple(summaries)


def metrics_of(results: Iterable[TstrResult]) -> tuple[str, ...]:
    """Return the names of the metrics of results, in the order in which they first appear."""
    return tuple(dict.fromkeys(name for result in results for name in result.scores))
