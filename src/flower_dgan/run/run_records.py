"""All that a run measured, as one record; what it holds is in the modules beside this one."""

from dataclasses import dataclass

from flower_dgan.run.crossing_records import NoisyRelease, PrivateSteps, RecordCount, Traffic
from flower_dgan.run.member_records import Change, Join, Where
from flower_dgan.run.outcome_records import Alarm, End, MemoryPeak, Stage
from flower_dgan.run.quality_records import Distance, MissingMoments, RowPictures
from flower_dgan.run.round_records import Round, Selection, Validation
from flower_dgan.tasks.patient_scores import PatientScore
from flower_dgan.tasks.results import TstrResult


@dataclass(frozen=True)
class RunMetrics:
    """Everything in ``metrics.jsonl``, in the order of its lines, and the scores by patient."""

    joins: tuple[Join, ...]
    rounds: tuple[Round, ...]
    tstr: tuple[TstrResult, ...]
    traffic: tuple[Traffic, ...]
    records: tuple[RecordCount, ...]
    stages: tuple[Stage, ...]
    memory: tuple[MemoryPeak, ...]
    distances: tuple[Distance, ...] = ()
    missing_moments: tuple[MissingMoments, ...] = ()
    changes: tuple[Change, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    end: End | None = None
    patients: tuple[PatientScore, ...] = ()
    validations: tuple[Validation, ...] = ()
    selection: Selection | None = None
    devices: tuple[Where, ...] = ()
    releases: tuple[NoisyRelease, ...] = ()
    private_steps: tuple[PrivateSteps, ...] = ()
    tested: tuple[RowPictures, ...] = ()
