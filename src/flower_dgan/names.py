"""Text from elsewhere, made safe to show."""

import unicodedata


def printable(text: str, length: int = 200) -> str:
    """Return text with its control and format characters escaped, cut at a length."""
    shown = "".join(c if unicodedata.category(c)[0] != "C" else repr(c)[1:-1] for c in text[:length])
    return shown + ("..." if len(text) > length else "")
