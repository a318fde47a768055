"""The report of a sweep, from what its runs wrote."""

from pathlib import Path

from flower_dgan.report.sweep_figures import main_figure, samples_figure
from flower_dgan.report.sweep_runs import read_sweep
from flower_dgan.report.sweep_tables import render_csv, render_markdown
from flower_dgan.whole_file import whole_file


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
            with whole_file(directory / name) as partial:
                figure.savefig(partial, format="png", dpi=120, bbox_inches="tight")
    shown = [name for name, figure in figures.items() if figure is not None]
    for name, text in (("sweep.csv", render_csv(sweep)), ("sweep.md", render_markdown(sweep, shown))):
        with whole_file(directory / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return directory / "sweep.md"
