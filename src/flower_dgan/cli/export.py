"""The command ``flower-dgan export``."""

from pathlib import Path
from typing import Annotated

import typer

from flower_dgan.cli.consoles import console


def export(
    run: Annotated[Path, typer.Argument(readable=False, help="Directory of a run.")],
    to: Annotated[str, typer.Option(help="tensorboard, wandb, mlflow, trackio, or package.module:Tracker.")],
) -> None:
    """Send a run to a tracker of experiments afterwards, as from a server that has no network."""
    from flower_dgan.errors import DataError
    from flower_dgan.run.events import METRICS
    from flower_dgan.trackers import open_tracker
    from flower_dgan.trackers.feed import export as send

    if not (run / METRICS).is_file():
        raise DataError(f"There is no {METRICS} in {run}: name the directory of a run that has measured something.")
    rounds = send(run.resolve(), open_tracker(to, "--to"))
    console.print(f"{rounds} rounds of {run.resolve()} are in {to}", soft_wrap=True)
