"""``flower-dgan watch``: the page on which a federation is seen training."""

from pathlib import Path
from typing import Annotated

import typer

from flower_dgan.cli.consoles import console


def watch(
    directory: Annotated[
        Path | None, typer.Argument(readable=False, help="Directory of a run, of a sweep, or of several of them.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 0,
    address: Annotated[str, typer.Option(help="Another address than this machine's own; needs the next three.")] = (
        "127.0.0.1"
    ),
    token_file: Annotated[Path | None, typer.Option(help="File with the token, which its user alone may read.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the certificate, PEM.")] = None,
) -> None:
    """Show trainings in a browser, while they go on and afterwards; they do not depend on it."""
    from platformdirs import user_data_path

    from flower_dgan.watch.board import Board
    from flower_dgan.watch.painting import Painting
    from flower_dgan.watch.serve import Door, serve
    from flower_dgan.watch.server import make_app

    board = Board(directory or user_data_path("flower-dgan") / "runs")
    door = Door(address, port, token_file, certificate, key)
    serve(make_app(board, Painting()), door, lambda line: console.print(line, soft_wrap=True))
