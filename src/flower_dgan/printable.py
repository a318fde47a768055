"""Text from elsewhere as it may be shown: on a terminal, in a log, in a report."""

from unicodedata import bidirectional, category

LONGEST = 300
"""Characters of a reason, a name or a path that are shown."""
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def printable(text: str, longest: int | None = LONGEST) -> str:
    r"""Make what is no letter, digit, sign or blank visible, and cut what is long.

    Escape codes of terminals, line ends, marks that turn the direction of writing, invisible characters and bytes that
    are no UTF-8 become backslash escapes, such as ``\x1b``, ``\n`` or ``\u202e``. What a backslash is elsewhere stays.

    Parameters
    ----------
    text : str
        Anything.
    longest : int or None
        Characters at most, at least 1; the last one of a text that was cut is ``…``. None for any number.

    Returns
    -------
    str
        One line in which ``str.isprintable`` holds, and which every UTF-8 terminal can show.
    """
    cut = longest is not None and len(text) > longest  # before the work, as a text may have megabytes
    shown = "".join(each if each.isprintable() else _escaped(each) for each in text[:longest])
    if longest is not None and (cut or len(shown) > longest):
        return f"{shown[: longest - 1]}…"
    return shown


def misleads(text: str) -> bool:
    """Return whether a text has control characters, marks that turn its direction, or bytes that are no UTF-8."""
    return any(category(each) in _UNSHOWN or bidirectional(each) in _TURNS for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
