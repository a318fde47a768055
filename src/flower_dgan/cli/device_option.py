"""The option ``--device`` of commands that build networks."""

from dataclasses import replace
from typing import Annotated

import typer

from flower_dgan.config import Config
from flower_dgan.device import AUTO

Device = Annotated[
    str, typer.Option(help="Where networks compute: auto, cpu, cuda, cuda:1, mps. auto is a GPU where there is one.")
]


def on_device(settings: Config, device: str) -> Config:
    """Return the settings of a command with the device of its option, unless that says nothing."""
    return settings if device == AUTO else replace(settings, device=device)
