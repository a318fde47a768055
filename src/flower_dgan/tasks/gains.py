"""What one row gains over another on the same patients, and between which bounds that holds for other patients.

The interval is by bootstrap over patients (Efron 1979), who alone are independent: images of one patient are alike, and
trainings with several seeds see the same patients. Percentiles of few patients' bootstrap means are too narrow, by the
factor sqrt((n - 1) / n) and as a normal distribution has thinner tails than Student's; they are taken as far out as
makes up for both: the expanded percentile interval of Hesterberg 2015, "What teachers should know about the bootstrap".
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit  # type: ignore[import-untyped]

CONFIDENCE = 0.95
FEWEST_PATIENTS = 6
"""For a claim. Did a row change nothing, each of n patients would as soon gain as lose, so that all n lie on one
side in 2 of 2^n cases: 0.062 for five patients, which is no evidence at the level of 0.05, and 0.031 for six."""

Verdict = Literal["better", "worse", "open", "seeds differ", "one seed", "too few"]

_RESAMPLES, _FEWEST_RESAMPLES = 10_000, 1_000
_MOST_DRAWS, _AT_ONCE = 20_000_000, 1_000_000


@dataclass(frozen=True)
class Paired:
    """Both figures of one patient by the models of one training each, with the same seed.

    Attributes
    ----------
    training : hashable
        Which: the run, and the seed.
    patient : str
        Who.
    before, after : float
        Without and with what is judged.
    """

    training: Hashable
    patient: str
    before: float
    after: float


@dataclass(frozen=True)
class Gain:
    """What is gained, as a mean over patients, each by its mean over the trainings.

    Attributes
    ----------
    patients, trainings : int
        How many; at least 1.
    before, after : float
        Mean figures without and with what is judged.
    mean : float
        Positive where it is better with it, also of a metric whose lowest is best.
    deviation : float or None
        Sample standard deviation over trainings, of the mean over their patients; None of one training.
    interval : tuple of float or None
        Lower and upper bound of the mean at 95 % confidence; None with fewer than ``FEWEST_PATIENTS`` patients.
    agree : bool
        Whether each training has a gain over its patients on the same side of 0 as the mean.
    """

    patients: int
    trainings: int
    before: float
    after: float
    mean: float
    deviation: float | None
    interval: tuple[float, float] | None
    agree: bool

    @property
    def verdict(self) -> Verdict:
        """What may be claimed.

        A claim wants an interval on one side of 0, which tells of other patients, and the mean gains of two trainings
        or more on the same side: of other trainings the interval does not tell.
        """
        if self.interval is None:
            return "too few"
        low, high = self.interval
        if low <= 0 <= high:
            return "open"
        if self.trainings == 1:
            return "one seed"
        return "seeds differ" if not self.agree else "better" if low > 0 else "worse"


def gain_of(pairs: Iterable[Paired], best: Literal["highest", "lowest"]) -> Gain | None:
    """Return what is gained over all pairs of figures; None without any.

    Figures of one patient and training, as those of several members, count by their mean.
    """
    sign = 1.0 if best == "highest" else -1.0
    cells: dict[tuple[Hashable, str], list[tuple[float, float]]] = {}
    for each in pairs:
        cells.setdefault((each.training, each.patient), []).append((each.before, each.after))
    if not cells:
        return None
    by_patient: dict[str, list[tuple[float, float]]] = {}
    by_training: dict[Hashable, list[float]] = {}
    for (training, patient), figures in cells.items():
        before, after = (fmean(side) for side in zip(*figures, strict=True))
        by_patient.setdefault(patient, []).append((before, after))
        by_training.setdefault(training, []).append(sign * (after - before))
    sides = np.array([np.mean(figures, axis=0) for figures in by_patient.values()])
    gains = sign * (sides[:, 1] - sides[:, 0])
    means = [fmean(each) for each in by_training.values()]
    return Gain(
        patients=len(by_patient),
        trainings=len(by_training),
        before=float(sides[:, 0].mean()),
        after=float(sides[:, 1].mean()),
        mean=float(gains.mean()),
        deviation=stdev(means) if len(means) > 1 else None,
        interval=mean_interval(gains) if len(gains) >= FEWEST_PATIENTS else None,
        agree=all(each * gains.mean() > 0 for each in means),
    )


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the bounds of the mean of the distribution that values are from, at 95 % confidence.

    Parameters
    ----------
    values : float64 array (n,)
        Independent ones, at least 2.

    Returns
    -------
    tuple of float
        Lower and upper bound: expanded percentiles of 10,000 bootstrap means, fewer of more than 2,000 values, drawn
        with a fixed seed, so that a report that is written again says the same.
    """
    count = len(values)
    generator = np.random.default_rng(0)
    resamples = min(_RESAMPLES, max(_FEWEST_RESAMPLES, _MOST_DRAWS // count))
    rows = max(1, _AT_ONCE // count)  # at once, so that many patients fit into memory
    means = np.concatenate(
        [
            values[generator.integers(count, size=(min(rows, resamples - start), count))].mean(1)
            for start in range(0, resamples, rows)
        ]
    )
    student = stdtrit(count - 1, (1 - CONFIDENCE) / 2)
    tail = float(ndtr(np.sqrt(count / (count - 1)) * student))
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)
