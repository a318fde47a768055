"""The scores by patient of one run or of several, put side by side: what is compared with what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flower_dgan.tasks.gains import Paired
from flower_dgan.tasks.patient_scores import REAL, PatientScore, TestedOn, Unit

WHOLE = 0
"""In place of a number of real images: all that a member has."""

_Key = tuple[int, int, TestedOn, str, str, int]
"""Run, seed, what was tested on, row, member (empty for a model of all that is tested on all), and real images."""


@dataclass
class PairedScores:
    """Scores of runs that differ in their seeds alone.

    Attributes
    ----------
    members, rows : list of str
        In the order in which they first appear; rows without ``Real-k``.
    metrics : list of str
        The main one first.
    unit : {"patient", "image"}
        What is scored.
    """

    members: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    unit: Unit = "patient"
    _runs: int = 0
    _cells: dict[_Key, dict[str, Mapping[str, float]]] = field(default_factory=dict)
    _real: dict[tuple[TestedOn, str], set[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Sequence[Sequence[PatientScore]]) -> "PairedScores":
        """Put the scores of some runs side by side."""
        found = cls(_runs=len(runs))
        for run, scores in enumerate(runs):
            whole: dict[str, int] = {}
            for score in scores:
                if score.tested_on == "all":
                    whole[score.member] = max(whole.get(score.member, 0), score.real)
            for score in scores:
                found._add(run, score, whole.get(score.member, 0))
        return found

    def _add(self, run: int, score: PatientScore, whole: int) -> None:
        self.unit = score.unit
        for names, name in ((self.members, score.member), (self.rows, score.row)):
            if name not in ("", REAL, *names):
                names.append(name)
        self.metrics += [name for name in score.values if name not in self.metrics]
        fewer = score.tested_on == "all" and score.real < whole
        real = score.real if fewer else WHOLE
        if score.row == REAL and not fewer:
            self._real.setdefault((score.tested_on, score.member), set()).add(score.real)
        key = (run, score.seed, score.tested_on, score.row, score.member, real)
        self._cells.setdefault(key, {})[score.patient] = score.values

    def real_images(self, tested_on: TestedOn, member: str) -> str:
        """Return how many real images a member's models learned from, or between which numbers that was."""
        found = self._real[tested_on, member]
        return f"{min(found):,}" if len(found) == 1 else f"{min(found):,} to {max(found):,}"

    def whole(self, member: str) -> int:
        """Return how many real images a member has in all; 0 where no model of all was tested on the test split."""
        return max(self._real.get(("all", member), {0}))

    def sizes(self) -> list[int]:
        """Return the smaller numbers of real images that were tried, ascending, and ``WHOLE`` at the end."""
        return [*sorted({key[5] for key in self._cells} - {WHOLE}), WHOLE]

    def pairs(self, tested_on: TestedOn, member: str, row: str, metric: str, real: int = WHOLE) -> Iterator[Paired]:
        """Yield both figures of each patient by a member's ``Real-k`` and by another row, seed by seed.

        A training is one of the only run, else a run, whose trainings then count by their mean: they share a generator.
        """
        for (run, seed, *rest), before in self._cells.items():
            if rest != [tested_on, REAL, member, real]:
                continue
            after = self._cells.get((run, seed, tested_on, row, member, real))
            if after is None and real == WHOLE:
                after = self._cells.get((run, seed, tested_on, row, "", WHOLE))
            for patient, values in before.items():
                if after and metric in values and metric in after.get(patient, {}):
                    yield Paired(run if self._runs > 1 else seed, patient, values[metric], after[patient][metric])
