"""How a run ends: finished, failed or stopped, with one line why, in its log, its measurements and its report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flower_dgan.errors import DganError, StorageError, one_line
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.report import write_report
from flower_dgan.run.outcome_records import FAILED, FINISHED, STOPPED

logger = logging.getLogger("flwr")


class InOneLine(logging.Filter):
    """Says in one line what Flower logs with a traceback, where the error is one that a user can act on."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record about such an error; all are logged."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, DganError):
            record.msg, record.args = "Run failed: %s", (one_line(error),)
            record.exc_info = record.exc_text = None
        return True


@contextmanager
def ending(directory: RunDirectory) -> Iterator[None]:
    """Say how the run in the body ends, and write its report.

    Parameters
    ----------
    directory : RunDirectory
        That of the run.

    Raises
    ------
    BaseException
        What the body raises: the run failed, or, where it is no ``Exception``, was stopped.
    """
    try:
        yield
    except Exception as error:
        why = one_line(error) if isinstance(error, DganError | OSError | MemoryError) else f"defect: {one_line(error)}"
        _end(directory, FAILED, why)
        _report(directory)
        logger.error("Run failed: %s Its directory: %s", why, directory.path)
        raise
    except BaseException as stop:  # Flower ends a run that is stopped by SystemExit, and a keyboard by another
        _end(directory, STOPPED, f"it was ended from outside ({type(stop).__name__})")  # and no time for a report
        logger.warning("Run stopped: `resume=%s` goes on with it.", directory.path)
        raise
    _end(directory, FINISHED, "")
    _report(directory)
    logger.info("Run finished: %s", directory.path)


def _end(directory: RunDirectory, how: str, why: str) -> None:
    """Write down how the run ends; that it cannot be written changes nothing of it."""
    try:
        directory.measure("end", how=how, why=why, attempt=directory.training.attempt)
    except StorageError as error:
        logger.warning("%s", error)


def _report(directory: RunDirectory) -> None:
    """Write the report; the results are there without it, so that what goes wrong here ends nothing."""
    try:
        logger.info("Report: %s", write_report(directory.path))
    except Exception as error:  # whatever a drawing library makes of what clients said
        logger.warning(
            "The report could not be written (%s): `flower-dgan report %s` tries again.",
            one_line(error),
            directory.path,
        )
