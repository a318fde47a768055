"""What a TSTR table is made of: single results, and their mean and spread over the seeds of a row."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

REFERENCE_ROW = "Real-All"


@dataclass(frozen=True)
class TstrResult:
    """One training on the data of a row, tested on real data.

    Attributes
    ----------
    row : str
        What was trained on, such as ``"Real-All"`` or ``"DGAN"``.
    seed : int
        Seed of the training.
    dice, iou : float
        Score on the real test pairs, in [0, 1].
    """

    row: str
    seed: int
    dice: float
    iou: float


@dataclass(frozen=True)
class TstrSummary:
    """The results of one row over its seeds.

    Attributes
    ----------
    row : str
        What was trained on.
    seeds : int
        Number of trainings, at least 1.
    dice_mean, iou_mean : float
        Mean scores, in [0, 1].
    dice_sd, iou_sd : float or None
        Sample standard deviations (divisor ``seeds`` - 1); None for one seed.
    dice_ratio : float or None
        Mean Dice over the mean Dice of ``Real-All``; None without that row or if its mean is 0.
    """

    row: str
    seeds: int
    dice_mean: float
    dice_sd: float | None
    iou_mean: float
    iou_sd: float | None
    dice_ratio: float | None


def summarize(results: Iterable[TstrResult]) -> tuple[TstrSummary, ...]:
    """Summarize results row by row, in the order in which the rows first appear.

    Parameters
    ----------
    results : Iterable[TstrResult]
        Results of any number of rows and seeds.

    Returns
    -------
    tuple of TstrSummary
        One a row; empty for no results.
    """
    rows: dict[str, list[TstrResult]] = {}
    for result in results:
        rows.setdefault(result.row, []).append(result)
    reference = fmean(result.dice for result in rows[REFERENCE_ROW]) if REFERENCE_ROW in rows else 0.0
    summaries = []
    for row, trainings in rows.items():
        dice = [training.dice for training in trainings]
        iou = [training.iou for training in trainings]
        several = len(trainings) > 1
        summaries.append(
            TstrSummary(
                row=row,
                seeds=len(trainings),
                dice_mean=fmean(dice),
                dice_sd=stdev(dice) if several else None,
                iou_mean=fmean(iou),
                iou_sd=stdev(iou) if several else None,
                dice_ratio=fmean(dice) / reference if reference else None,
            )
        )
    return tuple(summaries)
