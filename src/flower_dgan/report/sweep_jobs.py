"""What a sweep keeps of each of its jobs: settings and outcome, in ``job.json`` of its directory."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from flower_dgan.data.plain_values import read_json
from flower_dgan.whole_file import whole_file

logger = logging.getLogger(__name__)

_RECORD = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """A job that ended.

    Attributes
    ----------
    number : int
        Its place among the jobs.
    overrides : tuple of str
        Its settings.
    seconds : float
        Wall-clock time of its last start.
    value : object
        What it returned: the objective of an optimiser.
    error : str or None
        Why it failed, in one line.
    """

    number: int
    overrides: tuple[str, ...]
    seconds: float
    value: object
    error: str | None


def write_record(directory: Path, record: JobRecord) -> None:
    """Write the record of a job that ended; the file is whole or not there."""
    directory.mkdir(parents=True, exist_ok=True)
    with whole_file(directory / _RECORD) as partial:
        partial.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")


def read_record(directory: Path) -> JobRecord | None:
    """Return the record of a job, None where it has not ended, or where the record is damaged, which is logged."""
    file = directory / _RECORD
    if not file.is_file():
        return None
    try:
        fields = read_json(file)
        return JobRecord(**fields | {"overrides": tuple(fields["overrides"])})
    except (OSError, TypeError, ValueError, KeyError) as error:
        logger.warning("%s is damaged (%s): the job counts as one that has not ended.", file, error)
        return None


def failed_jobs(directory: Path) -> dict[str, str]:
    """Return why jobs of a sweep failed, by the names of their directories."""
    records = {file.parent.name: read_record(file.parent) for file in sorted(directory.glob(f"*/{_RECORD}"))}
    return {name: record.error for name, record in records.items() if record and record.error is not None}
