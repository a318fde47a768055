"""Reports of runs: they read a run directory and train nothing."""

import logging
from pathlib import Path

from flower_dgan.errors import DataError
from flower_dgan.report.audit_section import audit_section
from flower_dgan.report.curves import plot_losses
from flower_dgan.report.markdown import CURVES_NAME, render_report
from flower_dgan.report.member_figure import gain_figure
from flower_dgan.report.member_tables import GAINS_NAME
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.report.sweep_report import write_sweep_report
from flower_dgan.whole_file import whole_file

__all__ = ["write_report", "write_sweep_report"]


logger = logging.getLogger(__name__)


def _settings(path: Path) -> str:
    """Return what a file of settings holds; a report says what was measured also where the file is damaged."""
    try:
        text = path.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if ":" not in text:
        logger.warning("%s is empty or damaged.", path)
    return text


def write_report(run_directory: Path) -> Path:
    """Write ``report.md`` and its figures into the directory of a run.

    Parameters
    ----------
    run_directory : Path
        A folder with ``config.yaml`` and ``metrics.jsonl``, and ``samples/*.png`` if there are any.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    DataError
        A file is missing or cannot be read.
    """
    metrics = read_metrics(run_directory)
    config = run_directory / "config.yaml"
    if not config.is_file():
        raise DataError(f"There is no {config}; name the directory of a run.")
    if metrics.rounds:
        plot_losses(metrics, run_directory / CURVES_NAME)
    figure = gain_figure([metrics.patients])
    if figure is not None:
        with whole_file(run_directory / GAINS_NAME) as partial:
            figure.savefig(partial, format="png")
    samples = [f"samples/{path.name}" for path in sorted((run_directory / "samples").glob("*.png"))]
    report = run_directory / "report.md"
    text = render_report(metrics, _settings(config), samples, audit_section(run_directory))
    with whole_file(report) as partial:
        partial.write_text(text, encoding="utf-8")
    return report
