"""The command ``flower-dgan init``."""

import json
import re
import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from flower_dgan.cli.consoles import console
from flower_dgan.cli.new_places import new_folder
from flower_dgan.errors import ConfigError
from flower_dgan.printable import printable

_PROJECT = '''# An app for Flower: `flwr run .` in this folder trains.
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "A distributed GAN on Flower"
license = "Apache-2.0"
dependencies = ["flower-dgan>={version}"]

[tool.hatch.build.targets.wheel]
bypass-selection = true

[tool.flwr.app]
publisher = "nobody"
# Server and nodes run the installed flower-dgan; the app that Flower carries to them has nothing but these settings.
fab-include = ["README.md"]

[tool.flwr.app.components]
serverapp = "flower_dgan.server_app:app"
clientapp = "flower_dgan.client_app:app"

# One setting a line; `flower-dgan config '<settings>'` shows all of them with their defaults.
[tool.flwr.app.config]
overrides = """
{settings}
"""
'''

_README = """# {name}

```bash
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1   # flower-dgan is installed already
flwr run . --stream
```

The settings are in `pyproject.toml`, below `[tool.flwr.app.config]`. The last line of the log names the run directory.
"""


def init(
    folder: Annotated[Path, typer.Argument(help="New folder for the app.")],
    data: Annotated[Path | None, typer.Option(help="Folder with images/ and masks/; the digits if not given.")] = None,
) -> None:
    """Write a folder in which `flwr run` trains, with the settings in one file that you can change."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-") or "distributed-gan"
    with new_folder(folder) as new:
        project = _PROJECT.format(name=name, version=version("flower-dgan"), settings=_settings(data))
        (new / "pyproject.toml").write_text(project, encoding="utf-8")
        (new / "README.md").write_text(_README.format(name=name), encoding="utf-8")
    console.print(f"{folder.resolve()} is an app: cd there, and `flwr run . --stream`.", soft_wrap=True)


def _settings(data: Path | None) -> str:
    if data is None:
        return "data=digits\nseed=0"
    if not data.is_dir():
        raise ConfigError(f"{printable(str(data), None)} is no folder.")
    root = shlex.quote(f"data.root={data.resolve()}")
    return f"data=folder\n{json.dumps(root, ensure_ascii=False)[1:-1]}\nseed=0"  # as a TOML string has it
