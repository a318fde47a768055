"""Text of clients, files and settings in reports: shown as it is, and never read as Markdown, HTML or a formula."""

import re
from html import escape
from urllib.parse import quote

from flower_dgan.printable import printable

_LONGEST = 5_000  # a path has 4,096 characters at most, and one in a table is to be found
_MARKUP = re.compile(r"[\\`*|~$\[\]]|(?<![^\W_])_|_(?![^\W_])")  # inside a word an underscore is none


def in_markdown(text: str) -> str:
    """Return a text for one line of Markdown, a heading or a cell of a table, that shows it; blanks become one."""
    shown = escape(printable(" ".join(text.split()), _LONGEST), quote=False)
    return _MARKUP.sub(r"\\\g<0>", shown)


def link(path: str) -> str:
    """Return a link to a file beside the report; behind an exclamation mark it shows the file as an image."""
    return f"[{in_markdown(path)}](<{quote(path, errors='surrogateescape')}>)"


def in_code(text: str) -> str:
    """Return a text as code within a line of Markdown."""
    shown = printable(text, _LONGEST).replace("`", "'")
    return f"`{shown}`"


def in_fence(text: str, language: str) -> str:
    """Return a fenced block of Markdown that shows lines of text as they are, whatever is in them."""
    lines = "\n".join(printable(line, None) for line in text.rstrip().split("\n"))
    fence = "`" * max(4, 1 + max(map(len, re.findall("`+", lines)), default=0))
    return f"{fence}{language}\n{lines}\n{fence}"


def in_figure(text: str) -> str:
    """Return a text that matplotlib draws as it is: no formula, and no label that a legend leaves out for its ``_``."""
    shown = printable(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
