"""The commands ``flower-dgan data ...``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from flower_dgan.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

data = typer.Typer(no_args_is_help=True, help="Look at data, get them and divide them.")
console = Console()


@data.command()
def download(
    name: Annotated[str, typer.Argument(help="mnist or fashion-mnist.")],
    folder: Annotated[Path, typer.Argument(help="The data.root of runs on it.")],
) -> None:
    """Download a data set through torchvision."""
    from flower_dgan.data.mnist import download

    download(name, folder)
    console.print(f"{name} in {folder.resolve()}: data={name} data.root={folder.resolve()}")


@data.command()
def partition(
    overrides: Annotated[str, typer.Argument(help="Hydra overrides, such as 'partition=dirichlet'.")] = "",
    clients: Annotated[int | None, typer.Option(min=1, help="Needed if the partition takes any number.")] = None,
    output: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("partition.png"),
) -> None:
    """Show which training pairs each simulated client would hold."""
    from flower_dgan.data import named_clients, open_source, partition
    from flower_dgan.data.skew import distributions
    from flower_dgan.report.partition_figure import plot_partition
    from flower_dgan.resolve import resolve

    config = resolve(overrides)
    # A condition hides the masks, which tell where the images have no label.
    source = open_source(replace(config.data, condition="label-map"))
    number = clients or len(named_clients(source.train, config.partition))
    if not number:
        raise ConfigError(f"partition={config.partition.name} takes any number of clients: give --clients.")
    parts = partition(source, config.partition, number, config.seed)
    shown = distributions(source, parts)
    columns = [heading for each in shown for heading in (each.what, "largest")]
    table = Table("client", Column("pairs", justify="right"), *columns)
    for index, (name, part) in enumerate(parts.items()):
        cells = [cell for each in shown for cell in _cells(each.kinds, each.counts[index])]
        table.add_row(name, str(len(part)), *cells)
    console.print(table)
    if unused := len(source.train) - sum(map(len, parts.values())):
        console.print(f"{unused} of {len(source.train)} training pairs are no client's.")
    for each in shown:
        console.print(f"Mean total variation distance of two clients by {each.what}: {each.mean_distance:.3f}")
    plot_partition(list(parts), shown, output)
    console.print(f"Figure: {output.resolve()}")


def _cells(kinds: Sequence[str], counts: "NDArray[np.int64]") -> tuple[str, str]:
    """Return how many kinds a client has, and its most frequent one."""
    most = int(counts.argmax())
    return f"{(counts > 0).sum()} of {len(kinds)}", f"{kinds[most]} ({counts[most] / counts.sum():.0%})"
