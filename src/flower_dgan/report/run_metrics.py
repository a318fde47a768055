"""Reads the metrics of a run from ``metrics.jsonl``."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from flower_dgan.errors import DataError
from flower_dgan.run.event_reader import read_lines
from flower_dgan.run.events import KINDS, METRICS, typed
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.tasks.patient_scores import read_scores


def read_metrics(run_directory: Path) -> RunMetrics:
    """Read the metrics of a run, and its scores by patient if it has any.

    Parameters
    ----------
    run_directory : Path
        A folder with ``metrics.jsonl``, see :mod:`flower_dgan.run.events`; kinds and fields that are not known are
        passed over.

    Returns
    -------
    RunMetrics
        The typed records. Of a run that has not ended, what crossed the wire is as it was last noted.

    Raises
    ------
    DataError
        The file is missing, or a line is not such an object; the message names the line.
    """
    found: dict[type, list[Any]] = defaultdict(list)
    for number, line in read_lines(run_directory):
        try:
            record = typed(line)
        except (TypeError, ValueError) as error:
            raise DataError(f"{run_directory / METRICS}, line {number}: {error}") from error
        found[type(record)].append(record)
    of = {kind: tuple(found[record]) for kind, record in KINDS.items()}
    attempts = [each.attempt for each in of["begin"]]
    ends = [each for each in of["end"] if each.attempt >= max(attempts, default=1)]  # not of one before that goes on
    return RunMetrics(
        joins=of["join"],
        rounds=of["round"],
        tstr=of["tstr"],
        traffic=of["traffic"],
        records=of["record"] or (of["ledger"][-1].rows if of["ledger"] else ()),
        stages=of["stage"],
        memory=of["memory"],
        devices=of["device"],
        releases=of["noisy-release"],
        private_steps=of["private-steps"],
        tested=of["test-pictures"],
        distances=of["distance"],
        missing_moments=of["missing-moments"],
        changes=of["membership"],
        alarms=of["alarm"],
        end=ends[-1] if ends else None,
        patients=read_scores(run_directory),
        validations=of["check"],
        selection=of["selection"][-1] if of["selection"] else None,
    )
