"""Where the commands write to.

What they print has names, paths and messages of others in it. So nothing of a text is taken for markup (``[medical]``
of an install hint would vanish, and ``[/x]`` of a path end in a traceback) or for an emoji (``:key:``); what is to have
a colour is a ``rich.text.Text``.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from flower_dgan.errors import ConfigError

console = Console(markup=False, emoji=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)

_WIDEST = 100_000  # characters; a path has 4,096 at most


def show_any_name() -> None:
    """Let names of files be printed whose bytes, or letters, the terminal's encoding does not have, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def require_different(rows: Sequence[str], reserved: Sequence[str] = ()) -> None:
    """Raise ConfigError if two rows of a table are one folder, or would have one name."""
    folders: dict[Path, str] = {}
    for row in rows:
        if (other := folders.setdefault(Path(row).resolve(), row)) != row or rows.count(row) > 1:
            again = "named twice" if other == row else f"the same folder as {other}"
            raise ConfigError(f"{row} is {again}: name each folder once.")
        if row in reserved:
            raise ConfigError(f"'{row}' is what another row of the table is called: give its full path.")


def print_table(table: Table) -> None:
    """Print a table in which no cell is cut, whatever is in it.

    On a terminal a cell that is too long for it goes on below, as whole tables are to be seen there. Elsewhere, as in a
    file, a row is one line of any length, which programs and people find the path in.
    """
    for column in table.columns:
        column.overflow = "fold"
    if not console.is_terminal:
        table.width = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    console.print(table, crop=False)
