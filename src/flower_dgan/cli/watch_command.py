"""``flower-dgan watch``: the page on which a federation is seen training."""

from pathlib import Path
from typing import Annotated

import typer

from flower_dgan.cli.consoles import console
from flower_dgan.errors import ConfigError


def watch(
    directory: Annotated[
        Path | None,
        typer.Argument(readable=False, help="Directory of a run, of a sweep, or of several; with --node its state."),
    ] = None,
    node: Annotated[bool, typer.Option("--node", help="Show what the owner of this user's nodes may know.")] = False,
    rules: Annotated[str, typer.Option("--policy", help="With --node: as in the node's --node-config.")] = "standard",
    export: Annotated[Path | None, typer.Option(help="Write the page into this file instead of serving it.")] = None,
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 0,
    address: Annotated[str, typer.Option(help="Another address than this machine's own; needs the next three.")] = (
        "127.0.0.1"
    ),
    token_file: Annotated[Path | None, typer.Option(help="File with the token, which its user alone may read.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the certificate, PEM.")] = None,
) -> None:
    """Show trainings in a browser, while they go on and afterwards; they do not depend on it."""
    from platformdirs import user_data_path, user_state_path

    from flower_dgan.watch.board import Board
    from flower_dgan.watch.page_file import export as write_page
    from flower_dgan.watch.painting import Painting
    from flower_dgan.watch.serve import Door, serve
    from flower_dgan.watch.server import make_app

    if node and export is not None:
        raise ConfigError("What only an owner may know is not exported: leave --export or --node away.")
    board = None if node else Board(directory or user_data_path("flower-dgan") / "runs")
    if board is not None and export is not None:
        write_page(board, export)
        console.print(str(export.resolve()), soft_wrap=True)
        return
    owner = None
    if node:
        from flower_dgan.watch.node_view import NodeView

        owner = NodeView(directory or user_state_path("flower-dgan"), rules)
    door = Door(address, port, token_file, certificate, key)
    serve(make_app(board, Painting(), owner), door, lambda line: console.print(line, soft_wrap=True))
