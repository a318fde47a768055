"""Text from elsewhere, as it is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_dgan.errors import ProtocolError, unknown_name
from flower_dgan.printable import misleads, printable

ANYTHING = st.text(st.characters(exclude_categories=()))


@given(ANYTHING, st.integers(1, 50))
def test_any_text_is_one_line_without_control_characters(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert shown.isprintable()
    assert len(shown) <= longest
    shown.encode()
    assert printable(shown, longest) == shown


@given(ANYTHING)
def test_what_can_be_seen_stays(text: str) -> None:
    seen = "".join(each for each in text if each.isprintable())
    assert printable(seen, None) == seen


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\u202ecod.exe", r"\u202ecod.exe"),
        ("Z\udcfcrich", r"Z\udcfcrich"),
        ("Zürich, 東京 [/x]", "Zürich, 東京 [/x]"),
    ],
)
def test_what_hides_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_megabytes_are_cut() -> None:
    assert printable("x" * 5_000_000, 10) == "xxxxxxxxx…"
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("\x1b" * 4, 10) == r"\x1b\x1b\…"


def test_errors_quote_no_escape_codes() -> None:
    """What a peer sent, and names of columns, sites and settings, come into messages."""
    assert str(ProtocolError("a name \x1b[31m\n" + "x" * 10_000)).startswith(r"a name \x1b[31m\nxxx")
    assert len(str(ProtocolError("x" * 10_000))) == 500
    message = unknown_name("site", "\x1b[31m", ["a\nb", "\u202ec"])
    assert message == r"Unknown site '\x1b[31m'. Known: a\nb, \u202ec."


@pytest.mark.parametrize(
    ("text", "expected"), [("Zürich 東京", False), ("Z\udcfc", True), ("a\x1b", True), ("\u202ea", True)]
)
def test_names_of_files_that_mislead(text: str, expected: bool) -> None:
    assert misleads(text) is expected
