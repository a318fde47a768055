"""Reports of runs: they read a run directory and train nothing."""

from pathlib import Path

from flower_dgan.errors import DataError
from flower_dgan.report.curves import plot_losses
from flower_dgan.report.markdown import CURVES_NAME, render_report
from flower_dgan.report.member_figure import gain_figure
from flower_dgan.report.member_tables import GAINS_NAME
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.report.sweep_report import write_sweep_report

__all__ = ["write_report", "write_sweep_report"]


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
        figure.savefig(run_directory / GAINS_NAME, format="png")
    samples = [f"samples/{path.name}" for path in sorted((run_directory / "samples").glob("*.png"))]
    report = run_directory / "report.md"
    report.write_text(render_report(metrics, config.read_text(encoding="utf-8"), samples), encoding="utf-8")
    return report
