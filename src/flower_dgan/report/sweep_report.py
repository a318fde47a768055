"""The report of a sweep, from what its runs wrote."""

from pathlib import Path

from flower_dgan.report.sweep_figures import main_figure, samples_figure
from flower_dgan.report.sweep_runs import read_sweep
from flower_dgan.report.sweep_tables import render_csv, render_markdown


def write_sweep_report(directory: Path) -> Path:
    """Write ``sweep.csv``, ``sweep.md``, ``sweep.png`` and ``samples.png`` into a sweep directory.

    Parameters
    ----------
    directory : Path
        Of a sweep, of which any part may have finished.

    Returns
    -------
    Path
        The Markdown.

    Raises
    ------
    DataError
        If there is no run in it, or what a run wrote cannot be read.
    """
    sweep = read_sweep(directory)
    figures = {"sweep.png": main_figure(sweep), "samples.png": samples_figure(sweep)}
    for name, figure in figures.items():
        if figure is not None:
            figure.savefig(directory / name, format="png", dpi=120, bbox_inches="tight")
    (directory / "sweep.csv").write_text(render_csv(sweep), encoding="utf-8")
    report = directory / "sweep.md"
    shown = [name for name, figure in figures.items() if figure is not None]
    report.write_text(render_markdown(sweep, shown), encoding="utf-8")
    return report
