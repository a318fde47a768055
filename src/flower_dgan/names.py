"""What a client may be called, and what its files are called after it."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from unicodedata import category, is_normalized, normalize

from flower_dgan.errors import ConfigError, DganError
from flower_dgan.printable import printable

LONGEST_NAME = 64
RESERVED = ("server", "centralized", "all, from the moments of the sites")
"""What the server calls itself, and a discriminator and a row of a table that are no client's."""
_SIGNS = "._-+(),'\u2019&\u00b7\u2116"
RULE = (
    f"A client's name has 1 to {LONGEST_NAME} letters, digits, single blanks and any of {' '.join(_SIGNS)}; its first "
    "is a letter or digit, and its last one too, or a closing bracket."
)

_LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")
# Letters and marks by their category, but nothing is to be seen of them.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_NODE = re.compile(r"node \d{10,}")  # what the server calls a node whose name it does not know
_DEVICES = re.compile("con|prn|aux|nul|conin\\$|conout\\$|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3]", re.IGNORECASE)
_FORBIDDEN = re.compile(
    r'[<>:"/\\|?*\x00-\x1f\x7f]'
)  # on Windows' file systems, where "a:b" is even a part of the file a
_LONGEST_STEM = 120  # bytes of its readable part: suffixes and numbers of files come to it


def check_name(text: str, error: type[DganError] = ConfigError, what: str = "The client's name") -> str:
    """Return a text that is a client's name; it is unchanged, as it is part of seeds.

    No name is a path, none looks like another one but for its script (composed and decomposed characters, blanks at an
    end or two together, invisible characters), and each can be shown as it is, on a terminal, in HTML and in a figure,
    but for ``&`` and ``'`` in HTML and ``_`` and brackets in Markdown.

    Parameters
    ----------
    text : str
        What a client, or the owner of a table, says.
    error : type of DganError
        What to raise.
    what : str
        What the text is, for the message.

    Returns
    -------
    str
        The same text.

    Raises
    ------
    DganError
        Of type ``error``: says what is wrong with which name, and what is allowed.
    """
    if (problem := _problem(text)) is not None:
        raise error(f"{what}, '{printable(text, LONGEST_NAME)}', {problem}. {RULE}")
    return text


def file_stem(text: str) -> str:
    """Return what a file or directory of a client is called, whoever else there is.

    Two texts never have the same stem, also where small and capital letters are the same to the file system.

    Parameters
    ----------
    text : str
        A client's name, or anything.

    Returns
    -------
    str
        The text itself where it consists of small letters, digits, blanks and ``-``; otherwise what is readable of it,
        ``~`` and twelve digits of its hash. At most 133 bytes, no path.
    """
    parts_of_words = all(category(each) in ("Ll", "Lo", "Lm", "Nd") or each in " -" for each in text)
    plain = parts_of_words and _folded(text) == text == text.strip(" -") and not is_reserved(text)
    if text and plain and _size(text) <= _LONGEST_STEM:
        return text
    return f"{_readable(text)}~{_digest(text)}"


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """Return what the files of the clients of a federation are called.

    Parameters
    ----------
    names : iterable of str
        All of them; one that comes twice counts once.

    Returns
    -------
    dict of str to str
        By name: what is readable of it, in letters, digits and single ``-``, such as ``St-Mary-3`` for
        ``St. Mary (3)``; where that is also another's, small and capital letters being the same, then ``~`` and twelve
        digits of the name's hash after it. At most 133 bytes each, no path, none with ``_`` or a blank.
    """
    readable = {name: _readable(name) for name in names}
    counts = Counter(map(_folded, readable.values()))
    return {name: stem if counts[_folded(stem)] == 1 else f"{stem}~{_digest(name)}" for name, stem in readable.items()}


def folded(text: str) -> str:
    """Return what is the same for two names that some file system takes for one, as by case or composed accents."""
    return _folded(text)


def is_reserved(name: str) -> bool:
    """Return whether Windows has a device of that name, with any suffix, so that no file there can be called so."""
    return bool(_DEVICES.fullmatch(name.partition(".")[0].strip()))


def portable_stem(text: str) -> str:
    """Return what a file is called after another one's stem, so that any file system that people have can hold it.

    Parameters
    ----------
    text : str
        What is before the suffix, so that dots and blanks at its end are not at the name's, where Windows loses them.
        It may be a device of Windows, or have signs that no name there has.

    Returns
    -------
    str
        The text itself, if it can be; otherwise with ``-`` for each such sign, and with ``-`` after the name of a
        device. Two texts may become the same: whoever writes looks at :func:`folded`.
    """
    name = _FORBIDDEN.sub("-", text)
    if is_reserved(name):
        device, dot, rest = name.partition(".")
        return f"{device.rstrip()}-{dot}{rest}"
    return name


def inside(directory: Path, name: str) -> Path:
    """Return the file of that name directly inside a directory.

    Raises
    ------
    ValueError
        If it would be anywhere else: no name of a file that is made here is a path.
    """
    path = directory / name
    if path.parent != directory or path.name != name or name in ("", ".", "..") or "\0" in name:
        raise ValueError(f"'{printable(name)}' is not the name of a file in {directory}")
    return path


def _problem(text: str) -> str | None:
    """Return what is wrong with a name, None where nothing is."""
    if not text:
        return "is empty"
    if len(text) > LONGEST_NAME:
        return f"has {len(text):,} characters"
    if odd := next((each for each in text if not _allowed(each)), None):
        return f"has the character {_shown(odd)}"
    if not is_normalized("NFC", text):
        return "has characters in pieces, such as a letter and its accent: write it in Unicode's composed form (NFC)"
    if "  " in text:
        return "has two blanks together"
    if category(text[0]) not in _LETTERS:
        return f"begins with {_shown(text[0])}"
    if category(text[-1]) not in _LETTERS and text[-1] != ")" and not category(text[-1]).startswith("M"):
        return f"ends with {_shown(text[-1])}"
    if text.casefold() in RESERVED or _NODE.fullmatch(text.casefold()):
        return "is what the server calls something else"
    return None


def _allowed(character: str) -> bool:
    kind = category(character)
    if character == " " or character in _SIGNS:
        return True
    return (kind in _LETTERS or kind in ("Mn", "Mc")) and not _INVISIBLE.match(character)


def _shown(character: str) -> str:
    return f"'{printable(character)}' (U+{ord(character):04X})"


def _folded(text: str) -> str:
    """Return what is the same for two names that a file system may take for one."""
    return normalize("NFKC", normalize("NFKC", text).casefold())


def _readable(text: str) -> str:
    words = "".join(each if _allowed(each) and each not in _SIGNS else " " for each in normalize("NFC", text))
    stem = "-".join(words.split()).encode()[:_LONGEST_STEM].decode(errors="ignore")
    return stem.strip("-") or "client"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
