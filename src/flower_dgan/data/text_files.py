"""Text files and tables as spreadsheets and shells write them: their encoding, their separator, and names in them."""

import codecs
import csv
import re
from io import StringIO
from pathlib import Path
from unicodedata import normalize

from flower_dgan.whole_file import require_file

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZEROS = (
    ([False, True, True, True], "utf-32-le"),
    ([True, True, True, False], "utf-32-be"),
    ([False, True], "utf-16-le"),
    ([True, False], "utf-16-be"),
)
_OF_BYTES = ("utf-8", "utf-8-sig")
_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile("sep=.?(\r\n|\r|\n)", re.IGNORECASE)


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, UTF-16 or UTF-32, with a byte order mark or without one.

    Raises
    ------
    OSError
        If it cannot be read.
    UnicodeError
        If it is in another encoding; says in which line.
    """
    return decode(require_file(path).read_bytes())


def decode(content: bytes) -> str:
    """Return what the content of a text file says; as :func:`read_text`."""
    encoding = _encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding not in _OF_BYTES:
            raise UnicodeError(f"it begins as text in {encoding.upper()} does, and goes on otherwise") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise UnicodeError(
            f"line {line} has the byte {content[error.start]:#04x} where UTF-8 has none such, so that it is in another "
            "encoding, perhaps Latin-1 or Windows-1252"
        ) from error


def _encoding(content: bytes) -> str:
    """Return the encoding that a text file's first bytes tell."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    # No text in UTF-8 has zeros, and the first character of a table or list is one of ASCII.
    zeros = [byte == 0 for byte in content[:4]]
    for pattern, encoding in _ZEROS:
        if zeros[: len(pattern)] == pattern:
            return encoding
    return "utf-8"


def read_rows(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """Read a CSV table whose first row names its columns; rows and last columns without anything are left out.

    Parameters
    ----------
    path : Path
        Columns are separated by commas, semicolons (as European spreadsheets do) or tabs; which of them, is found by
        the first row. A line ``sep=;`` before it, which spreadsheets write, is no row.
    columns : tuple of str
        The names that there may be.

    Raises
    ------
    OSError, UnicodeError, csv.Error
        If it cannot be read.
    """
    text = read_text(path)
    if line := _SEPARATOR_LINE.match(text):
        text = text[line.end() :]
    heads = {
        each: next(filter(None, csv.reader(StringIO(text, newline=""), delimiter=each, skipinitialspace=True)), [])
        for each in _SEPARATORS
    }
    found = max(_SEPARATORS, key=lambda each: len({*map(str.strip, heads[each])} & {*columns}))
    rows = csv.reader(StringIO(text, newline=""), delimiter=found, skipinitialspace=True, strict=True)
    filled = [row for row in rows if any(map(str.strip, row))]
    # Spreadsheets write a separator, and nothing behind it, for each column that was ever in use.
    used = max((place for row in filled for place, cell in enumerate(row, start=1) if cell.strip()), default=0)
    header, *others = [row[:used] for row in filled] or [[]]
    return [[name.strip() for name in header], *others]


def same_name(name: str) -> str:
    """Return a name as it is compared: letters with accents are one character (NFC), as macOS may not write them."""
    return normalize("NFC", name)


def same_value(text: str) -> str:
    """Return what a name or a table says of a pair as it is compared: as :func:`same_name`, without blanks at its ends.

    ``Bonn`` and ``Bonn `` are one site, and one patient is not on both sides of a split by a blank that nobody sees.
    """
    return same_name(text).strip()
