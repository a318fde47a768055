"""What each member gains, in a simulation: scores by patient of the table's rows, and of trainings for this alone."""

import logging
from collections.abc import Mapping, Sequence

from torch import nn

from flower_dgan.baselines import fedavg, fedgan_row
from flower_dgan.baselines.folds import Fold, plan_folds
from flower_dgan.baselines.own_patients import cross_validate
from flower_dgan.baselines.rows import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.data.patients import patients_known
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.gan.server_state import PreviousTask
from flower_dgan.node.node import simulated_source
from flower_dgan.tasks.by_patient import HeldOut
from flower_dgan.tasks.members import (
    Whose,
    fewer_real,
    require_sizes,
    scores_of,
    trained,
    whose,
    with_synthetic,
)
from flower_dgan.tasks.patient_scores import PLUS, PLUS_DGAN, REAL, PatientScore, append_scores
from flower_dgan.tasks.results import TstrResult

logger = logging.getLogger("flwr")


class MemberScores:
    """Writes scores by patient into a run directory.

    Parameters
    ----------
    directory : RunDirectory
        Where to.
    config : Config
        The run's configuration.
    federation : LocalFederation
        The members.
    """

    def __init__(self, directory: RunDirectory, config: Config, federation: LocalFederation) -> None:
        self._directory, self._config, self._federation = directory, config, federation
        self._rows = whose(federation.members) if {*PLUS} & {*config.downstream.rows} else {}

    def record(self, result: TstrResult, model: nn.Module, test: Pairs) -> None:
        """Write down how good a model of the table is on each patient of the test split, if a member could use it."""
        if result.row in self._rows:
            self._score(model, test, self._rows[result.row], result.seed)

    def measure_more(
        self,
        synthetic: Pairs,
        test: Pairs,
        folds: Sequence[Fold],
        previous: PreviousTask | None,
        rounds_of: Mapping[str, int],
    ) -> None:
        """Train with fewer real images of each member, and without its patients fold by fold, where that is asked."""
        if sizes := self._config.downstream.member_sizes:
            with self._directory.stage("members with fewer images"):
                self._measure_sizes(sizes, synthetic, test)
        if folds:
            with self._directory.stage("members' own patients"):
                cross_validate(self._config, folds, previous, self._write, rounds_of)

    def _measure_sizes(self, sizes: Sequence[int], synthetic: Pairs, test: Pairs) -> None:
        config = self._config
        for seed in range(config.seed, config.seed + config.downstream.seeds):
            for name, real in fewer_real(self._federation.members, sizes, seed):
                logger.info("%s with %d real images, seed %d", name, len(real), seed)
                for row, pairs in ((REAL, real), (PLUS_DGAN, with_synthetic(real, synthetic))):
                    model = trained(pairs, config, seed, self._federation.validation)
                    self._score(model, test, Whose(row, name, len(real)), seed)

    def _score(self, model: nn.Module, test: Pairs, row: Whose, seed: int) -> None:
        source, metrics = simulated_source(self._config), self._config.downstream.metrics
        patients = tuple(entry.group for entry in source.test)
        tested = HeldOut(test, patients, "patient" if patients_known(source) else "image", metrics)
        self._write(scores_of(model, [tested], self._config, tested_on="all", whose=row, seed=seed))

    def _write(self, scores: Sequence[PatientScore]) -> None:
        append_scores(self._directory.path, scores, self._config.downstream.metrics)


def plan_members(config: Config, federation: LocalFederation) -> tuple[Fold, ...]:
    """Return the folds of the members' patients; raises DataError, before any work, where not all asked can be done."""
    require_sizes(federation.members, config.downstream.member_sizes)
    return plan_folds(config, len(federation.labels))


def equal_rounds(config: Config, federation: LocalFederation, crossed: float) -> dict[str, int]:
    """Return the rounds of the averaging rows that are to cost a client as many bytes as the run, if they are asked."""
    at = {fedavg.EQUAL_ROW: fedavg.rounds_at, fedgan_row.EQUAL_ROW: fedgan_row.rounds_at}
    return {row: of(config, federation, crossed) for row, of in at.items() if row in config.downstream.rows}
