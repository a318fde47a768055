"""How good trained models were on each patient, and the file of a run that keeps it."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Literal, get_args

from flower_dgan.errors import DataError
from flower_dgan.whole_file import append_line, whole_lines

FILE = "patients.csv"
TestedOn = Literal["all", "own"]
"""The test split, which all rows share; or patients of the member that were held out of everything for this."""
Unit = Literal["patient", "image"]
"""What is scored: a patient with all its images, or, where no patient is known, each image for itself."""

REAL = "Real-k"
"""A member's real images alone; whose is in the score."""
PLUS_DGAN, PLUS_FEDGAN = PLUS = ("Real-k+DGAN", "Real-k+FedGAN")
"""The same with all synthetic ones beside them."""
SHARED = ("DGAN", "FedGAN", "FedGAN-equal-bytes", "FedAvg", "FedAvg-equal-bytes")
"""Rows of one model for all members, which a member could use in place of one of its own."""

_FIELDS = ("tested_on", "row", "member", "real", "seed", "unit", "patient", "images")


@dataclass(frozen=True)
class PatientScore:
    """How good one trained model was on the images of one patient.

    Attributes
    ----------
    tested_on : {"all", "own"}
        Of which patients this is one.
    row : str
        What was trained on, as ``downstream.rows`` calls it: ``"Real-k+DGAN"`` whoever the member is.
    member : str
        Whose real images were in it, or whose patient this is; empty where neither is one member's.
    real : int
        How many real images of the member were in it; 0 for rows without.
    seed : int
        Of the training.
    unit : {"patient", "image"}
        Whether the data say who is a patient.
    patient : str
        Who; the name of the image where no patient is known.
    images : int
        Number of images of the patient.
    values : Mapping[str, float]
        Figures over all windows of these images, by the name of the metric. One that looks for masks or objects is
        missing where the patient has none.
    """

    tested_on: TestedOn
    row: str
    member: str
    real: int
    seed: int
    unit: Unit
    patient: str
    images: int
    values: Mapping[str, float]


def append_scores(directory: Path, scores: Iterable[PatientScore], metrics: Iterable[str]) -> None:
    """Append scores to the file of a run directory; they are on disk when this returns.

    Parameters
    ----------
    directory : Path
        Of the run.
    scores : iterable of PatientScore
        What to write.
    metrics : iterable of str
        The columns of figures, the same at every call.

    Raises
    ------
    StorageError
        If they cannot be written. The file is as it was then.
    """
    names, path = tuple(metrics), directory / FILE
    lines = StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    if not path.is_file() or not path.stat().st_size:
        writer.writerow((*_FIELDS, *names))
    for score in scores:
        values = (repr(score.values[name]) if name in score.values else "" for name in names)
        writer.writerow((*(getattr(score, field) for field in _FIELDS), *values))
    if text := lines.getvalue():
        append_line(path, text.removesuffix("\n"))


def read_scores(directory: Path) -> tuple[PatientScore, ...]:
    """Read what :func:`append_scores` wrote; none where there is no file.

    What comes after the last whole line was being written when process or machine ended: it is passed over, with a
    warning.

    Raises
    ------
    DataError
        The file is not such a table; the message names the line.
    """
    path = directory / FILE
    if not path.is_file():
        return ()
    return tuple(_read(csv.reader(StringIO(whole_lines(path).decode("utf-8", "surrogateescape"), newline="")), path))


def _read(lines: Iterator[list[str]], path: Path) -> Iterator[PatientScore]:
    header = next(lines, [])
    if tuple(header[: len(_FIELDS)]) != _FIELDS:
        raise DataError(f"{path} does not begin with the columns {', '.join(_FIELDS)}: it is not from a run.")
    names = header[len(_FIELDS) :]
    for number, cells in enumerate(lines, start=2):
        try:
            tested_on, row, member, real, seed, unit, patient, images, *figures = cells
            if tested_on not in get_args(TestedOn) or unit not in get_args(Unit):
                raise ValueError(f"'{tested_on}' or '{unit}' is unknown")
            values = {name: float(figure) for name, figure in zip(names, figures, strict=True) if figure}
            if not all(map(math.isfinite, values.values())):
                raise ValueError("a figure is not finite")
            read = PatientScore(tested_on, row, member, int(real), int(seed), unit, patient, int(images), values)  # type: ignore[arg-type]
        except ValueError as error:
            raise DataError(f"{path}, row {number}: {error}") from error
        yield read
