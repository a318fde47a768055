"""CSV tables that say something about each pair by its name."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from flower_dgan.data.splits import some
from flower_dgan.data.text_files import read_rows, same_name, same_value
from flower_dgan.errors import DataError, unknown_name
from flower_dgan.printable import printable


def read_table(path: Path, names: Iterable[str], columns: Sequence[str], setting: str) -> dict[str, Mapping[str, str]]:
    """Read a CSV file with the column ``name`` and others.

    Parameters
    ----------
    path : Path
        In UTF-8 or UTF-16, with the names of the columns in the first row; see
        :func:`~flower_dgan.data.text_files.read_rows`.
    names : iterable of str
        Names that must have a row, as :func:`~flower_dgan.data.text_files.same_name` compares them.
    columns : sequence of str
        The other columns that there may be; at least one of them must be there.
    setting : str
        What names the file, for messages, such as ``"data.table"``.

    Returns
    -------
    dict of str to mapping
        The other cells of each row, by column, by name, which is as in ``names`` if it is one of them; in the order of
        the rows. Cells are as :func:`~flower_dgan.data.text_files.same_value` returns them.

    Raises
    ------
    DataError
        If the file is unreadable or malformed, has a name twice, or lacks one.
    """
    try:
        header, *rows = read_rows(path, ("name", *columns)) or [[]]
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(
            f"{setting}: {path} cannot be read as a CSV file in UTF-8 or UTF-16: {error}. Save it as 'CSV UTF-8'."
        ) from error
    for column in header:
        if column not in ("name", *columns):
            raise DataError(
                f"{setting}: {path}: {unknown_name('column', column, ('name', *columns))} Columns are separated by "
                "commas, semicolons or tabs."
            )
    if "name" not in header or len(header) < 2 or len(set(header)) < len(header):
        *most, last = [f"'{column}'" for column in columns]
        wanted = f"any of {', '.join(most)} and {last}, each" if most else f"{last}, each"
        raise DataError(
            f"{setting}: {path} has the columns {printable(', '.join(header)) or '(none)'}: it needs 'name' and "
            f"{wanted} once."
        )
    names = list(names)
    given = {same_name(name): name for name in names}
    found: dict[str, Mapping[str, str]] = {}
    for row in rows:
        if len(row) != len(header) or not all(map(str.strip, row)):
            raise DataError(
                f"{setting}: {path}: the row '{printable(','.join(row))}' needs {len(header)} filled cells."
            )
        fields = dict(zip(header, row, strict=True))
        name = same_name(fields.pop("name"))
        name = given.get(name, given.get(name.strip(), name))
        if name in found:
            raise DataError(f"{setting}: {path}: '{printable(name)}' has two rows: keep one.")
        found[name] = {column: same_value(cell) for column, cell in fields.items()}
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{setting}: {path} has no row for {some(missing)}: add it (the name without its suffix).")
    return found
