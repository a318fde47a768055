"""The losses of every client over the rounds, as a figure."""

from math import ceil
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flower_dgan.errors import DataError
from flower_dgan.report.text import in_figure
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.whole_file import whole_file

_COLUMNS = 5
_LEGEND_ROW = 0.25  # inches


def plot_losses(metrics: RunMetrics, path: Path) -> None:
    """Draw the generator's and the discriminators' losses side by side, one line a client.

    A client has a point in each round in which its reply was used, and the same colour on both sides.

    Parameters
    ----------
    metrics : RunMetrics
        At least one round.
    path : Path
        The PNG file to write.

    Raises
    ------
    DataError
        There is no round to draw.
    """
    if not metrics.rounds:
        raise DataError("The run has no round, so there are no losses to draw.")
    with whole_file(path) as partial:
        loss_figure(metrics).savefig(partial, format="png")


def loss_figure(metrics: RunMetrics) -> Figure:
    """Return the figure that ``plot_losses`` writes: two axes, first the generator's losses."""
    sites = sorted({site for each in metrics.rounds for site in each.clients})
    figure = Figure(figsize=(10, 4 + _LEGEND_ROW * ceil(len(sites) / _COLUMNS)), layout="constrained")
    generator_axes, discriminator_axes = figure.subplots(1, 2)
    for site in sites:
        rounds = [each for each in metrics.rounds if site in each.clients]
        numbers = [each.round for each in rounds]
        generator_losses = [each.clients[site].generator_loss for each in rounds]
        discriminator_losses = [each.clients[site].discriminator_loss for each in rounds]
        generator_axes.plot(numbers, generator_losses, marker=".", label=in_figure(site))
        discriminator_axes.plot(numbers, discriminator_losses, marker=".", label=in_figure(site))
    for axes, who in ((generator_axes, "generator"), (discriminator_axes, "discriminator")):
        axes.set(title=f"Loss of the {who}", xlabel="round", ylabel="loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    if sites:
        legend = figure.legend(handles=generator_axes.get_lines(), loc="outside lower center", ncols=_COLUMNS)
        for text in legend.get_texts():  # between two dollar signs of a name there is no mathematics
            text.set_parse_math(False)
    return figure
