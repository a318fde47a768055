"""``flower-dgan ledger``: what left the nodes of this user, and whether anybody changed the record of it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from flower_dgan.cli.consoles import console, errors, print_table


def ledger(
    directory: Annotated[
        Path | None, typer.Argument(help="State directory of the nodes' user; this user's if it is not given.")
    ] = None,
) -> None:
    """Print and verify what left each node, message by message and record by record."""
    from platformdirs import user_state_path

    from flower_dgan.node.owner_ledger import ledgers_in

    sound = True
    for each in ledgers_in(directory or user_state_path("flower-dgan")):
        verdict = each.verify()
        table = Table("message", "time", "training", "purpose", "what left", "bytes", "digest")
        for line in verdict.lines:
            shown = [line.get(key, "") for key in ("number", "time", "training", "purpose")]
            table.add_row(*map(str, shown), _what(line), str(line.get("bytes", "")), str(line.get("digest", ""))[:16])
        console.print(each.path, soft_wrap=True)
        print_table(table)
        for problem in verdict.problems:
            errors.print(Text.assemble(("Changed: ", "bold red"), problem))
        if not verdict.problems:
            console.print(f"{len(verdict.lines)} messages, none changed, removed or moved. Last hash: {verdict.head}")
        sound = sound and not verdict.problems
    if not sound:
        raise typer.Exit(1)


def _what(line: dict[str, Any]) -> str:
    if "refusal" in line:
        return f"refused ({line['refusal']})"
    if "part" in line:
        return f"part {line['part'].get('number', '')} of {line['part'].get('count', '')}"
    return ", ".join(f"{each['record']} ({each['bytes']})" for each in line.get("records", []))
