"""Who holds what, and how far the clients are from each other, as a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flower_dgan.errors import ConfigError
from flower_dgan.report.text import in_figure
from flower_dgan.whole_file import SOFTWARE, whole_file

if TYPE_CHECKING:
    from flower_dgan.data.skew import Distribution

MOST_DRAWN = 100
"""Clients of which there is a figure; of more nothing could be seen, and it would take minutes."""
_LARGEST_SIDE = 14.0  # inches
_ROW = 0.26  # inches that a client's name takes

ANNOTATED = 12  # clients at most, for numbers in the fields of the heat map
LEGEND_ROWS = 20


def plot_partition(clients: Sequence[str], distributions: Sequence["Distribution"], path: Path) -> None:
    """Draw a column of two axes for each distribution: the pairs of the clients by kind, and the clients' distances.

    Parameters
    ----------
    clients : sequence of str
        Their names.
    distributions : sequence of Distribution
        One or more.
    path : Path
        The PNG file to write.

    Raises
    ------
    ConfigError
        There are more than :data:`MOST_DRAWN` clients.
    """
    if len(clients) > MOST_DRAWN:
        raise ConfigError(f"There is no figure of {len(clients):,} clients: {MOST_DRAWN} can be drawn.")
    with whole_file(path) as partial:
        partition_figure(clients, distributions).savefig(partial, format="png", dpi=150, metadata=SOFTWARE)


def partition_figure(clients: Sequence[str], distributions: Sequence["Distribution"]) -> Figure:
    """Return the figure that ``plot_partition`` writes: first the bars of all distributions, then the heat maps."""
    side = min(max(2.4, _ROW * len(clients)), _LARGEST_SIDE)  # inches that the clients have along an axis
    small = min(1.0, side / (_ROW * len(clients)))
    figure = Figure(figsize=(max(6.4, side + 3) * len(distributions), 2 * side + 2.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # type: ignore[union-attr,call-arg]
    clients = [in_figure(client) for client in clients]
    rows = figure.subplots(2, len(distributions), squeeze=False)
    for bars, heat_map, distribution in zip(*rows, distributions, strict=True):
        _draw_bars(bars, clients, distribution)
        _draw_distances(heat_map, clients, distribution)
        for axes in (bars, heat_map):
            axes.tick_params(labelsize=10 * small)
    return figure


def _draw_bars(axes: Axes, clients: Sequence[str], distribution: "Distribution") -> None:
    number = len(distribution.kinds)
    if distribution.ordered:
        colors = matplotlib.colormaps["YlGnBu"](np.linspace(0.25, 1, number))
    elif number <= 10:
        colors = matplotlib.colormaps["tab10"](range(number))
    else:
        colors = matplotlib.colormaps["turbo"](np.linspace(0, 1, number))
    ends = np.cumsum(distribution.counts, axis=1)
    places = range(len(clients))
    for kind, color, count, end in zip(distribution.kinds, colors, distribution.counts.T, ends.T, strict=True):
        axes.barh(places, count, left=end - count, color=color, label=in_figure(kind))
    axes.set(title=f"Training pairs by {distribution.what}", xlabel="pairs")
    axes.set(xlim=(0, 1.03 * ends.max()), ylim=(len(clients) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_yticks(places, clients)
    columns = -(-number // LEGEND_ROWS)
    axes.legend(
        title=distribution.what, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, ncols=columns,
        fontsize="small",
    )  # fmt: skip


def _draw_distances(axes: Axes, clients: Sequence[str], distribution: "Distribution") -> None:
    distances = distribution.distances
    image = axes.imshow(distances, vmin=0, vmax=1, cmap="viridis")
    places = range(len(clients))
    axes.set_xticks(places, clients, rotation=90)
    axes.set_yticks(places, clients)
    axes.set_title(f"Distance by {distribution.what}, mean {distribution.mean_distance:.2f}")
    if len(clients) <= ANNOTATED:
        for (row, column), distance in np.ndenumerate(distances):
            color = "white" if distance < 0.6 else "black"
            axes.text(column, row, f"{distance:.2f}", ha="center", va="center", color=color, fontsize="x-small")
    # An axes of its own beside the square, which is narrower than its column.
    scale = axes.inset_axes((1.03, 0, 0.05, 1))
    axes.figure.colorbar(image, cax=scale, label="total variation distance")
