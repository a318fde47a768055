"""A table as markdown."""

from collections.abc import Iterable, Sequence

from flower_dgan.report.text import in_markdown


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a markdown table; without rows, the word "none".

    Parameters
    ----------
    header : sequence of str
        Column titles.
    rows : iterable of sequence of str
        Cells, as many as titles in each row; they may hold any text, which is shown as it is.

    Returns
    -------
    str
        Lines without a final newline.
    """
    lines = [_line(row) for row in rows]
    if not lines:
        return "none"
    return "\n".join([_line(header), "|" + " --- |" * len(header), *lines])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(in_markdown, cells)) + " |"
