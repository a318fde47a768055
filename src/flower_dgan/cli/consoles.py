"""Where the commands write to.

What they print has names, paths and messages of others in it. So nothing of a text is taken for markup (``[medical]``
of an install hint would vanish, and ``[/x]`` of a path end in a traceback) or for an emoji (``:key:``); what is to have
a colour is a ``rich.text.Text``.
"""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

console = Console(markup=False, emoji=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)

_WIDEST = 100_000  # columns of text that is no terminal's


def print_table(table: Table) -> None:
    """Print a table of which no cell is cut off: a terminal folds what is too long, and elsewhere lines are as long."""
    for column in table.columns:
        column.overflow = "fold"
    if not console.is_terminal:
        table.width = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    console.print(table, crop=False)
