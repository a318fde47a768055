"""The commands ``flower-dgan data ...``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
